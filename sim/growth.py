# SPDX-License-Identifier: Apache-2.0
"""How what is made of a unit grows with its size: Verilog, Verilator's model, netlist and proof.

Times are seconds of processor time, with nothing kept from before, so that they hardly depend on
what else the machine does.
"""

import json
import resource
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from .. import files
from ..hdl import export
from ..hdl.configs import UNITS, Unit
from ..toolchain import simulators, yosys
from ..toolchain.program import ToolError
from ..toolchain.synthesis import Library, synthesise
from .proofs.netlists import checker, equivalent

COMMAND = "hif8 growth"
RESULTS = "growth.json"

Made = TypeVar("Made")


def _engine(size: int) -> Unit:
    """Return the exact engine of a size: that of 8 by 8 rows and columns, or one like it."""
    name = f"matrix{size}x{size}_exact_to_fp32"
    like = UNITS["matrix8x8_exact_to_fp32"]
    sizes = {"rows": size, "cols": size}
    return UNITS.get(name) or replace(like, name=name, parameters=like.parameters | sizes)


UNITS_OF_SIZES = {
    unit.name: unit
    for unit in [
        *(UNITS[f"dot{n}_{kind}"] for kind in ("exact", "fp32") for n in (4, 32)),
        *(_engine(size) for size in (4, 8, 16, 32)),
    ]
}
"""Dot products and exact engines, the smaller ones first."""


@dataclass(frozen=True)
class Growth:
    """What is made of a unit.

    Attributes
    ----------
    unit : str
        Its name.
    products : int
        A cycle.
    size, lines : int
        Of its Verilog, in bytes.
    export_s : float
        Seconds to write that.
    build_s : float, optional
        Seconds of Verilator and the C++ compiler to make a model of it; None if there is none.
    cycles_per_s : float, optional
        Clock cycles a second of that model in a bare loop; None if that was not measured.
    modules : int
        Kinds of modules.
    ge : float
        Area in gate equivalents: each module mapped by itself, times its copies.
    ge_flat : float, optional
        All mapped as one module; None for a large unit.
    map_s, proof_s : float
        Seconds to map each module by itself, and to prove that each is its RTL.
    sha256 : str
        Of its Verilog.
    """

    unit: str
    products: int
    size: int
    lines: int
    export_s: float
    build_s: float | None
    cycles_per_s: float | None
    modules: int
    ge: float
    ge_flat: float | None
    map_s: float
    proof_s: float
    sha256: str


def measure(unit: Unit, library: Library, cached: Path) -> Growth:
    """Make all that is made of a unit, one after the other.

    Parameters
    ----------
    unit : Unit
        Which.
    library : Library
        The cells.
    cached : Path
        Folder of flat netlists, whose time is not measured.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or the netlist is not proved to be the RTL.
    """
    checker()
    text, export_s = _timed(lambda: export.verilog(unit))
    with tempfile.TemporaryDirectory() as name:
        netlist, map_s = _timed(
            lambda: synthesise(text, unit.module, library, Path(name), flat=False)
        )
        build_s = None if unit.large else _timed(lambda: _build(unit, text, Path(name)))[1]
    answer, proof_s = _timed(lambda: equivalent(unit, netlist, library))
    if not answer.equivalent:
        raise ToolError(f"the netlist of {unit.name} is not proved: {answer.difference}")
    flat = None if unit.large else synthesise(text, unit.module, library, cached)
    return Growth(
        unit=unit.name,
        products=unit.products,
        size=len(text.encode()),
        lines=text.count("\n"),
        export_s=round(export_s, 2),
        build_s=None if build_s is None else round(build_s, 1),
        cycles_per_s=None,
        modules=len(answer.modules),
        ge=round(netlist.gates(library), 1),
        ge_flat=None if flat is None else round(flat.gates(library), 1),
        map_s=round(map_s, 1),
        proof_s=round(proof_s, 1),
        sha256=export.entry(unit, text)["sha256"],
    )


def save(rows: list[Growth], library: Library, folder: Path) -> Path:
    """Write rows, and what measured them, and return the file."""
    tools = export.tool_versions() | {
        "verilator": version("verilator"),
        yosys.DEBIAN.name: yosys.DEBIAN.version(),
        "proof": checker(),
    }
    said = {
        "command": COMMAND,
        "library": library.name,
        "tools": tools,
        "rows": [asdict(row) for row in rows],
    }
    return files.write(folder / RESULTS, f"{json.dumps(said, indent=2)}\n".encode())


def _timed(make: Callable[[], Made]) -> tuple[Made, float]:
    """Return a result, and the seconds of processor time that it took, other processes' included.

    Those count that have ended; so nothing else must be run meanwhile.
    """
    begun = _spent()
    made = make()
    return made, _spent() - begun


def _spent() -> float:
    """Return the seconds of processor time of this process, and of those that it has run."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _build(unit: Unit, text: str, folder: Path) -> None:
    """Make Verilator's model of a unit."""
    source = folder / f"{unit.module}.v"
    source.write_text(text)
    build = simulators.start_model(build=folder, top=unit.module, sources=[source], anew=True)
    if build.wait():
        raise ToolError(f"Verilator could not build {unit.module}")
