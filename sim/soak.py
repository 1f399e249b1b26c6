# SPDX-License-Identifier: Apache-2.0
"""The deepest run: every unit under every simulator, every word of encoders, and the large rows.

Each check is a task of its own, that any process on any machine can run. Its result is a file, so
that a soak goes on where it was stopped, and what passed for the same Verilog is not run again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .. import files
from ..hdl.baselines import ROWS
from ..hdl.configs import UNITS, Unit
from ..toolchain import pool
from ..toolchain.simulators import SIMULATORS, simulator
from . import sweep, verify
from .effort import PRODUCTS, SOAKED, budget
from .verify import Verdict

EFFORT = "soak"

SWEPT = "compiled"
"""What stands for a simulator where every word goes through a compiled library (`sim.sweep`)."""

_SPEED = {"verilator": 2.5e6, "icarus": 2e3, SWEPT: 6e7}
"""Random products, or words, a second of one processor, as measured: for the estimate alone."""

_START = {"verilator": 15.0, "icarus": 15.0, SWEPT: 20.0}
"""Seconds of building and of directed cases."""


@dataclass(frozen=True)
class Check:
    """One check of a soak.

    Attributes
    ----------
    unit : str
        What is checked.
    simulator : str
        In what, or `SWEPT`.
    setting : int
        Of a sweep: which setting of the options.
    """

    unit: str
    simulator: str
    setting: int = 0

    @property
    def file(self) -> str:
        """Name of the file with its verdict."""
        return f"{self.unit}-{self.simulator}{f'-{self.setting}' if self.setting else ''}.json"

    @property
    def row(self) -> Unit:
        """The unit's row."""
        return ROWS[self.unit]

    @property
    def seconds(self) -> float:
        """About how long it takes on one processor."""
        if self.simulator == SWEPT:
            amount = 1 << self.row.parameters["source"].width
        else:
            amount = PRODUCTS * budget(self.row, self.simulator, EFFORT).random_cases
        return _START[self.simulator] + amount / _SPEED[self.simulator]


def checks(names: list[str] | None = None) -> list[Check]:
    """Return the checks of the units of the given names, by default of all; the longest first.

    Raises
    ------
    ValueError
        If there is no such unit.
    """
    for name in names or ():
        if name not in ROWS:
            raise ValueError(f"unit must be one of {', '.join(ROWS)}, not {name!r}")
    found = [check for name in names or ROWS for check in _of(ROWS[name])]
    return sorted(found, key=lambda check: -check.seconds)


def _of(unit: Unit) -> Iterator[Check]:
    """Yield the checks of a unit: Icarus is too slow for large ones."""
    for name in SIMULATORS:
        if name == "verilator" or not unit.large:
            yield Check(unit.name, name)
    if unit.name in UNITS and unit.bench == "encoder" and unit.parameters["source"].width == 32:
        yield from (Check(unit.name, SWEPT, k) for k in range(1 + ("hybrid" in unit.options)))


def kept(asked: list[Check], folder: Path) -> dict[Check, Verdict]:
    """Return the passed verdicts there are, of the Verilog and the simulator that there are now."""
    found = {}
    for check in asked:
        try:
            verdict = Verdict(**json.loads((folder / check.file).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            continue
        now = (_version(check.simulator), verify.digest(check.row), EFFORT, "pass")
        if (verdict.simulator_version, verdict.verilog, verdict.effort, verdict.status) == now:
            found[check] = verdict
    return found


def _version(name: str) -> str:
    """Return the version of a simulator, of Verilator for what it compiles; empty if missing."""
    chosen = simulator("verilator" if name == SWEPT else name)
    return "" if chosen.missing() else chosen.version()


def run(
    asked: list[Check],
    *,
    root: Path,
    folder: Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[Check, Verdict], None] = lambda check, verdict: None,
) -> dict[Check, Verdict]:
    """Run checks, and keep each verdict as it comes.

    Parameters
    ----------
    asked : list of Check
        What to run.
    root, folder : Path
        Folders of builds and runs, and of verdicts.
    jobs, scheduler
        How many processes of this machine, or the address of a cluster's scheduler, as for
        `pool.spread`.
    progress : callable
        Told of every verdict.

    Raises
    ------
    ToolError
        If a simulator could not be run to the end, or workers are lost again and again.
    """
    done = {}
    one = partial(_run, root=root.absolute())
    with closing(pool.spread(one, asked, jobs=jobs, scheduler=scheduler)) as results:
        for place, verdict in results:
            check = asked[place]
            files.write(
                folder / check.file, (json.dumps(asdict(verdict), indent=2) + "\n").encode()
            )
            done[check] = verdict
            progress(check, verdict)
    return done


def _run(check: Check, *, root: Path) -> Verdict:
    """Run one check, in whatever process this is."""
    root = pool.folder(root)
    version = _version(check.simulator)
    if not version:
        name = "verilator" if check.simulator == SWEPT else check.simulator
        reason = simulator(name).missing()
        return Verdict(check.unit, check.simulator, "", "not run", note=reason, effort=EFFORT)
    if check.simulator == SWEPT:
        return _sweep(check, root, version)
    return verify.run(check.row, check.simulator, root=root, effort=EFFORT)[0]


def _sweep(check: Check, root: Path, version: str) -> Verdict:
    """Run every word there is under one setting."""
    asked = sweep.plan(check.unit, root)
    setting = list(dict.fromkeys(part.setting for part in asked.ranges))[check.setting]
    ranges = [part for part in asked.ranges if part.setting == setting]
    records = [sweep.run_range(check.unit, asked.text, root, part) for part in ranges]
    cases, mismatches, seconds = (
        sum(getattr(record, name) for record in records)
        for name in ("cases", "mismatches", "seconds")
    )
    expected = sum(part.count for part in ranges)
    note = f"{mismatches} of {cases} words differ from golden" if mismatches else ""
    if cases != expected:
        note = f"{cases} words were compared where {expected} must be"
    return Verdict(
        check.unit,
        check.simulator,
        version,
        "fail" if note else "pass",
        cases=cases,
        expected=expected,
        mismatches=mismatches,
        seconds=seconds,
        rate=cases / seconds,
        note=note,
        command=f"hif8 sweep {check.unit}",
        first=next((record.example for record in records if record.example), None),
        verilog=verify.digest(check.row),
        effort=EFFORT,
    )


def shortfall(verdicts: dict[Check, Verdict]) -> list[str]:
    """Return in which checks fewer random products were compared than a soak must."""
    return [
        f"{check.unit}: {verdict.random_products or 0:,} random products, not {least:,}"
        for check, verdict in verdicts.items()
        if verdict.status == "pass"
        and check.simulator == "verilator"
        and check.row.bench in ("sum", "matrix")
        and not check.row.large
        and (verdict.random_products or 0) < (least := SOAKED[check.row.products == 1])
    ]
