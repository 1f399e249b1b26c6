# SPDX-License-Identifier: Apache-2.0
"""The report: one self-contained page of verdicts, figures, costs and tables.

Imports `analysis.page` and `hif8.files`; what was simulated, drawn and exported it is told by its
caller.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from .page import data_uri, environment

PAGE = "index.html"

STATUSES = ("pass", "fail", "not run")
"""What a run may say of itself."""

LABELS = {"mismatch": "MISMATCH", "fail": "FAILED", "not run": "NOT RUN", "pass": "bit-exact"}
"""What the page makes of that, the worst first, and what it calls it."""

BADGES = {
    "mismatch": "\N{BALLOT X} MISMATCH: RTL and golden model differ",
    "fail": "\N{BALLOT X} FAILED: a run did not compare all that it must",
    "not run": "\N{WARNING SIGN} INCOMPLETE: some runs were NOT RUN",
    "pass": "\N{CHECK MARK} all runs bit-exact",
}
"""What the page says of all runs together."""


def render(
    out: Path,
    *,
    verdicts: Sequence[dict[str, Any]],
    demo: dict[str, Any] | None,
    figures: Sequence[dict[str, Any]],
    values_rows: Sequence[dict[str, str]],
    manifest: dict[str, Any],
    cost: dict[str, Any],
    learning: dict[str, Any],
    datasheets: Mapping[str, str] | None = None,
    soaked: Sequence[dict[str, Any]] = (),
    growth: dict[str, Any] | None = None,
) -> Path:
    """Write the report as one HTML file that needs no other file and no network.

    Parameters
    ----------
    out : Path
        Folder; made if missing.
    verdicts : sequence of dict
        One per unit and simulator: ``unit``, ``simulator``, ``simulator_version``, ``cases``,
        ``expected``, ``mismatches``, ``seconds``, ``rate`` (cases a second), ``status`` (``pass``,
        ``fail`` or ``not run``), ``note``, ``command``; and ``coverage`` of a bench that counts its
        cases in bins, else None: ``bins``, ``hit``, ``least`` (a bin's name and its count),
        ``columns``, and ``tables`` of sums in lines and columns for each rounding mode.
    demo : dict, optional
        ``accuracy_fp32`` and ``accuracy_hif8`` (0 to 1), ``images``, ``encodes``, ``products``,
        ``tiles``, ``cycles``, ``bit_exact``, ``simulator``, ``engine``, ``command``. None if it was
        not run, which the page says.
    figures : sequence of dict
        From `analysis.figures.read`.
    values_rows : sequence of dict
        From `analysis.values.compute`.
    manifest : dict
        Of the exported Verilog: ``tool_versions`` and ``modules``.
    cost : dict
        Of `analysis.cost`: ``rows``, ``tools``, ``library``, and ``notes``, lines of text.
    learning : dict
        From `analysis.learning.page`.
    datasheets : mapping of str, optional
        The addresses of the units' datasheets, which the page links to.
    soaked : sequence of dict
        Verdicts of ``hif8 soak``; those of other Verilog than the manifest's are left out.
    growth : dict, optional
        From `analysis.growth.page`.

    Returns
    -------
    Path
        The page, ``index.html`` in `out`. Equal arguments give equal bytes.

    Raises
    ------
    OSError
        If the page cannot be written.
    ValueError
        If a verdict's status is none of the three.
    """
    runs = [verdict | {"status": status(verdict)} for verdict in verdicts]
    deep = _of_manifest(soaked, manifest)
    every = runs + deep
    alarms = {status: _alarms(status, every, demo) for status in LABELS if status != "pass"}
    overall = next((status for status, lines in alarms.items() if lines), "pass")
    page = environment().get_template("report.html.j2")
    text = page.render(
        runs=runs,
        alarms=alarms,
        overall=overall,
        badge=BADGES[overall],
        labels=LABELS,
        summary=_summary(runs),
        notes=_notes(runs),
        coverages=_coverages(runs),
        soaked=deep,
        demo=demo,
        figures=[figure | {"uri": data_uri(figure["svg"])} for figure in figures],
        values_rows=values_rows,
        manifest=manifest,
        cost=cost,
        stale=_stale(cost, manifest),
        learning=learning,
        datasheets=datasheets or {},
        growth=growth,
        commands=_commands(runs, demo, figures),
    )
    return files.write(out / PAGE, text.encode())


def _of_manifest(
    soaked: Sequence[dict[str, Any]], manifest: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the verdicts of a soak that are of the manifest's Verilog."""
    hashes = {module["unit"]: module["sha256"] for module in manifest["modules"]}
    return [
        verdict | {"status": status(verdict)}
        for verdict in soaked
        if verdict["verilog"] == hashes.get(verdict["unit"])
    ]


def status(verdict: dict[str, Any]) -> str:
    """Return the label's key for a verdict, trusting its counts more than its status.

    Raises
    ------
    ValueError
        If there is no such status.
    """
    status = verdict["status"]
    if status not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, not {status!r}")
    if verdict["mismatches"]:
        return "mismatch"
    complete = 0 < verdict["cases"] == verdict["expected"]
    return "fail" if status == "pass" and not complete else status


def _alarms(status: str, runs: list[dict[str, Any]], demo: dict[str, Any] | None) -> list[str]:
    """Return a line for all that failed or that was not run; nothing run at all is not a pass."""
    lines = [
        f"{run['unit']} under {run['simulator']}" + (f": {run['note']}" if run["note"] else "")
        for run in runs
        if run["status"] == status
    ]
    if status == "not run" and not runs:
        lines.append("no unit was simulated")
    if status == "not run" and demo is None:
        lines.append("the digits")
    if status == "mismatch" and demo is not None and not demo["bit_exact"]:
        lines.append("the digits: the simulated forward pass differs from the golden model's")
    return lines


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Count what was run, for the paragraph at the top."""
    done = [run for run in runs if run["status"] != "not run"]
    return {
        "done": len(done),
        "not_run": len(runs) - len(done),
        "failed": sum(run["status"] != "pass" for run in done),
        "units": len({run["unit"] for run in done}),
        "simulators": list(dict.fromkeys(_simulator(run) for run in done)),
        "cases": sum(run["cases"] for run in done),
        "mismatches": sum(run["mismatches"] for run in done),
    }


def _simulator(run: dict[str, Any]) -> str:
    """Return a run's simulator with its version."""
    return f"{run['simulator']} {run['simulator_version']}".strip()


def _notes(runs: list[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Return the simulators for each unit and note of the runs that passed: which cases they ran.

    The notes of other runs stand in the alarms.
    """
    notes = {}
    for run in runs:
        if run["status"] == "pass" and run["note"]:
            notes.setdefault((run["unit"], run["note"]), []).append(run["simulator"])
    return notes


def _coverages(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each unit the bins that its runs hit: under each simulator, and sums over them."""
    units: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run.get("coverage"):
            units.setdefault(run["unit"], []).append(run)
    return [
        {
            "unit": unit,
            "runs": [run["coverage"] | {"simulator": _simulator(run)} for run in own],
            "columns": own[0]["coverage"]["columns"],
            "modes": list(own[0]["coverage"]["tables"]),
            "rows": _sums([run["coverage"]["tables"] for run in own]),
        }
        for unit, own in units.items()
    ]


def _sums(tables: list[dict[str, dict[str, list[int | None]]]]) -> dict[str, list[int | None]]:
    """Add the tables of several runs, and put the modes side by side; None is where nothing is."""
    first = tables[0]
    lines = next(iter(first.values()))
    return {
        line: [
            None if cell is None else sum(table[mode][line][column] for table in tables)
            for mode in first
            for column, cell in enumerate(first[mode][line])
        ]
        for line in lines
        if any(cell is not None for mode in first.values() for cell in mode[line])
    }


def _stale(cost: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    """Return the units whose Verilog is no longer what was measured."""
    hashes = {module["unit"]: module["sha256"] for module in manifest["modules"]}
    return [
        row["unit"]
        for row in cost["rows"]
        if hashes.get(row["unit"], row["sha256"]) != row["sha256"]
    ]


def _commands(
    runs: list[dict[str, Any]], demo: dict[str, Any] | None, figures: Sequence[dict[str, Any]]
) -> list[str]:
    """Return the commands that made the page's parts, each once, in the order of the page."""
    parts = [*([demo] if demo else []), *runs, *figures]
    return [command for command in dict.fromkeys(part["command"] for part in parts) if command]
