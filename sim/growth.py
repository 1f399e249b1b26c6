# SPDX-License-Identifier: Apache-2.0
"""How what is made of a unit grows with its size: Verilog, Verilator's model, netlist and proof.

Times are seconds of processor time, with nothing kept from before, so that they hardly depend on
what else the machine does. ccache must be off, as the command has it.
"""

import json
import resource
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from .. import files
from ..hdl import export
from ..hdl.configs import Unit
from ..toolchain import yosys
from ..toolchain.program import ToolError
from ..toolchain.synthesis import Library, synthesise
from . import speed
from .proofs.netlists import checker, equivalent

COMMAND = "hif8 growth"
RESULTS = "growth.json"

Made = TypeVar("Made")


SIZES = (
    *("dot4_exact", "dot32_exact", "dot4_fp32", "dot32_fp32"),
    *("matrix4x4_exact_to_hif8", "matrix8x8_exact_to_fp32"),
    *("matrix16x16_exact_to_fp32", "matrix32x32_exact_to_fp32"),
)
"""Dot products and exact engines, the smaller ones first."""

SECONDS = 2.0
"""How long a model is run, at the least."""

BUILT = 64
"""Products a cycle of the largest unit whose model is built: each cell becomes C++ of its own."""

FLAT = 32
"""Products a cycle of the largest unit that is mapped as one module, too: more take minutes."""


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
        Seconds of Verilator and the C++ compiler to make a model of it, in a bare loop; None for a
        unit of more products than `BUILT`.
    cycles_per_s : float, optional
        Clock cycles a second of that loop.
    modules : int
        Kinds of modules.
    ge : float
        Area in gate equivalents: each module mapped by itself, times its copies.
    ge_flat : float, optional
        All mapped as one module; None for a unit of more products than `FLAT`.
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
        built = unit.products <= BUILT
        if built:
            _, build_s = _timed(lambda: speed.loop(unit, Path(name)))
            cycles, _, _, run_s = speed.bare(unit, SECONDS, Path(name))
    answer, proof_s = _timed(lambda: equivalent(unit, netlist, library))
    if not answer.equivalent:
        raise ToolError(f"the netlist of {unit.name} is not proved: {answer.difference}")
    one = unit.products <= FLAT
    flat = synthesise(text, unit.module, library, cached) if one else None
    return Growth(
        unit=unit.name,
        products=unit.products,
        size=len(text.encode()),
        lines=text.count("\n"),
        export_s=round(export_s, 2),
        build_s=round(build_s, 1) if built else None,
        cycles_per_s=round(cycles / run_s) if built else None,
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
