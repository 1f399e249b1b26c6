# SPDX-License-Identifier: Apache-2.0
"""Datasheets: a page for every exported module, of what it does, costs, and how it was checked.

Imports `analysis.figures`, `analysis.page`, `analysis.report`, `analysis.results`,
`analysis.specials`, `hdl.configs` and `hif8.files`. A figure that was not measured is said to be
missing; none is estimated.
"""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..hdl.configs import UNITS
from . import figures, specials
from .page import data_uri, environment
from .report import LABELS, status
from .results import Results

COMMAND = "hif8 datasheet"
FOLDER = "datasheets"
"""Where the pages lie, beside the report."""

PICTURES = {"mac_exact": ("mac_blocks", "mac_timing"), "mac_fp32": ("mac_blocks",)}
"""Which figures of the gallery show which units."""

DEVICES = {"ecp5": "ECP5", "ice40": "iCE40"}
"""FPGAs by their keys in the results."""

_PITCH, _MARGIN, _CHARACTER = 26, 96, 8


class Pin(NamedTuple):
    """A port in the drawing of a module.

    Attributes
    ----------
    name : str
        The port.
    width : int
        Its bits.
    clock : bool
        Whether it is a clock, which has a triangle.
    y : int
        Where it is, from the top.
    """

    name: str
    width: int
    clock: bool
    y: int


class Check(NamedTuple):
    """A line of the table of checks.

    Attributes
    ----------
    how, what : str
        What was done, and what came of it.
    label, status : str
        The result in two words, and a key of `report.LABELS`, which says how it looks.
    command : str
        What does it again.
    """

    how: str
    what: str
    label: str
    status: str
    command: str


def address(unit: str) -> str:
    """Return where the report finds a unit's page."""
    return f"{FOLDER}/{UNITS[unit].module}.html"


def pages(manifest: dict[str, Any], results: Results) -> dict[str, str]:
    """Return the pages of modules by the names of their files.

    Parameters
    ----------
    manifest : dict
        Of the exported Verilog: ``tool_versions`` and ``modules``.
    results : Results
        What is known of them.

    Returns
    -------
    dict of str
        HTML, in the order of the modules. Equal arguments give equal pages.
    """
    tools = manifest["tool_versions"]
    return {f"{m['module']}.html": render(m, results, tools) for m in manifest["modules"]}


def build(out: Path, manifest: dict[str, Any], results: Results) -> list[Path]:
    """Write the pages of modules, and return them in their order; parameters as of `pages`.

    Raises
    ------
    OSError
        If a page cannot be written.
    """
    made = pages(manifest, results)
    return [files.write(out / name, text.encode()) for name, text in made.items()]


def render(module: dict[str, Any], results: Results, tools: dict[str, str]) -> str:
    """Return the page of one module as HTML."""
    name = module["unit"]
    unit = UNITS[name]
    return (
        environment()
        .get_template("datasheet.html.j2")
        .render(
            module=module,
            tools=tools,
            symbol=symbol(module),
            specials=specials.compute(unit),
            core=unit.core.name if unit.core else None,
            products=unit.products if module["latency"] else None,
            sums="accumulator" in unit.parameters,
            waits=unit.waits,
            cost=cost(module, results),
            checks=checks(module, results),
            instance=instance(module),
            pictures=[_picture(figure) for figure in PICTURES.get(name, ())],
            command=COMMAND,
        )
    )


def symbol(module: dict[str, Any]) -> dict[str, Any]:
    """Return where the parts of a module's drawing go: inputs at the left, outputs at the right."""
    sides = {
        side: [
            Pin(port["name"], port["width"], port["name"] == "clk", 52 + _PITCH * place)
            for place, port in enumerate(p for p in module["ports"] if p["direction"] == side)
        ]
        for side in ("input", "output")
    }
    longest = sum(max(len(pin.name) for pin in pins) for pins in sides.values())
    inner = max(longest + 6, len(module["module"]) + 4) * _CHARACTER
    return {
        **sides,
        "left": _MARGIN,
        "right": _MARGIN + inner,
        "width": 2 * _MARGIN + inner,
        "bottom": 44 + _PITCH * max(map(len, sides.values())),
    }


def instance(module: dict[str, Any]) -> str:
    """Return Verilog that uses a module: a wire for every port, and the instance."""
    ports = module["ports"]
    ranges = [f"[{port['width'] - 1}:0]" if port["width"] > 1 else "" for port in ports]
    widest = max(map(len, ranges))
    longest = max(len(port["name"]) for port in ports)
    wires = [
        f"wire {bits:>{widest}} {port['name'] + ';':<{longest + 1}}  // {port['direction']}"
        for port, bits in zip(ports, ranges, strict=True)
    ]
    connections = ",\n".join(f"    .{port['name']}({port['name']})" for port in ports)
    lines = [*wires, "", f"{module['module']} {module['unit']}_0 (", connections, ");"]
    return "\n".join(lines) + "\n"


def cost(module: dict[str, Any], results: Results) -> dict[str, Any] | None:
    """Return what is shown of a module's cost; None if this Verilog of it was not measured."""
    row = results.costs.get(module["unit"])
    if row is None or row["sha256"] != module["sha256"]:
        return None
    area = f"{row['ge']:,.0f} GE"
    lines = [
        {
            "technology": f"standard cells, {results.cost_tools['cells of']}",
            "size": area,
            "flip_flops": f"{row['flip_flops']:,}",
            "delay": f"{row['delay_ns']:.2f} ns",
            "clock": f"{row['mhz_asic']:,.0f} MHz",
        }
    ]
    for key, device in DEVICES.items():
        placed = row.get(key)
        made = placed or {}
        lines.append(
            {
                "technology": device,
                "size": f"{made['luts']:,} LUTs" if placed else "not measured",
                "flip_flops": f"{made['ffs']:,}" if placed else "",
                "delay": f"{1000 / made['mhz']:.2f} ns" if placed else "",
                "clock": f"{made['mhz']:,.0f} MHz" if placed else "",
            }
        )
    texts = {"area": area, "path": row["path"], "command": row["command"]}
    return {"lines": lines, "tools": results.cost_tools, **texts}


def checks(module: dict[str, Any], results: Results) -> list[Check]:
    """Return a line for every check of a module that was run."""
    unit, digest = module["unit"], module["sha256"]
    lines = [_simulated(run, digest) for run in results.verdicts.get(unit, ())]
    proofs = results.proofs.get(unit)
    if proofs and proofs[0].get("verilog") != digest:
        lines.append(_outdated("proved", f"hif8 prove {unit}"))
    elif proofs:
        proved = sum(proof["claim"]["proved"] for proof in proofs)
        refuted = sum(not proof["variant"]["proved"] for proof in proofs)
        what = (
            f"{proved} of {len(proofs)} properties proved for all inputs, {refuted} of "
            f"{len(proofs)} wrong variants refuted"
        )
        held = proved == refuted == len(proofs)
        label, look = ("proved", "pass") if held else ("NOT PROVED", "fail")
        tool = proofs[0]["tool"]
        lines.append(Check(f"proved by {tool}", what, label, look, f"hif8 prove {unit}"))
    report = results.faults.get(unit)
    if report and report.get("verilog") != digest:
        how = "faults put into its gates"
        lines.append(_outdated(how, f"hif8 mutate {unit}"))
    elif report:
        found = Counter(fault["verdict"] for fault in report["faults"])
        what = (
            f"{len(report['faults']):,} faults, {found['killed']:,} noticed by the bench, "
            f"{found['equivalent']:,} proved to change nothing, {found['undecided']:,} undecided, "
            f"{found['survived']:,} survived"
        )
        held = report["faults"] and not found["survived"] + found["undecided"]
        label, look = ("none survived", "pass") if held else ("some survived", "not run")
        lines.append(Check("faults put into its gates", what, label, look, f"hif8 mutate {unit}"))
    netlist = results.netlists.get(unit)
    if netlist and netlist.get("verilog") != digest:
        lines.append(_outdated("netlist of cells", f"hif8 netlist {unit}"))
    elif netlist:
        lines.append(_netlist(netlist))
    return lines


def _outdated(how: str, command: str) -> Check:
    """Return the line of a result that is of other Verilog than the module's."""
    what = "done with other Verilog than this file: run it again"
    return Check(how, what, "OUTDATED", "not run", command)


def _netlist(found: dict[str, Any]) -> Check:
    """Return the line of a netlist: whether it is its RTL, and what the unit's bench says of it."""
    runs = [run for run in found["verdicts"] if run["status"] != "not run"]
    cases, wrong = (sum(run[key] for run in runs) for key in ("cases", "mismatches"))
    proof = found["equivalence"]
    held = proof["equivalent"] and all(status(run) == "pass" for run in runs)
    how = f"netlist of {found['cells']:,} cells of {found['library']}, by yosys {found['yosys']}"
    many = "" if len(runs) == 1 else "s"
    what = (
        f"{'proved' if proof['equivalent'] else 'NOT PROVED'} to be its RTL by {proof['tool']}; "
        f"{cases:,} cases in {len(runs)} run{many} of the bench, {wrong:,} mismatches"
    )
    label, look = ("equivalent", "pass") if held else ("FAILED", "fail")
    return Check(how, what, label, look, f"hif8 netlist {found['unit']}")


def _simulated(run: dict[str, Any], digest: str) -> Check:
    """Return the line of a simulation, which counts for the Verilog alone that was simulated."""
    how = f"simulated under {run['simulator']} {run['simulator_version']}".strip()
    if run.get("verilog") != digest:
        return _outdated(how, run["command"])
    what = (
        f"{run['cases']:,} of {run['expected']:,} cases compared bit for bit with the golden "
        f"model, {run['mismatches']:,} mismatches"
    )
    found = status(run)
    return Check(how, what, LABELS[found], found, run["command"])


def _picture(name: str) -> dict[str, str]:
    """Return a figure of the gallery."""
    figure = figures.FIGURES[name]
    svg = (figures.GALLERY / f"{name}.svg").read_bytes()
    texts = {"title": figure.title, "caption": figure.caption, "alt": figure.alt}
    return {"uri": data_uri(svg), **texts}
