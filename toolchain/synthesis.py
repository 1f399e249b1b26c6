# SPDX-License-Identifier: Apache-2.0
"""Verilog to a netlist of standard cells, and how many of which.

The cells are those of any liberty file; at hand is Debian's OSU 180 nm.
Yosys is the one on PATH, because that is the one that a user would run: figures of different
versions differ, so whoever shows one names its version.
"""

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from . import yosys
from .cache import kept
from .program import ToolError, folder_of

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Where Debian's package qflow-tech-osu018 puts its liberty file."""

DRIVE_AND_LOAD = "set_driving_cell {driver}\nset_load 0.05 [all_outputs]\n"
"""What drives the inputs and loads the outputs while ABC chooses cells by their delays. It counts
the load in fF, which is next to none; OpenSTA, in the library's pF, that of a few gates."""

SCRIPT = """\
read_verilog unit.v
synth {flatten}-top {top}
dfflibmap -liberty cells.lib
abc -liberty cells.lib -constr abc.constr
opt_clean -purge
tee -q -o statistics.txt stat -liberty cells.lib
write_verilog -noattr -noexpr -simple-lhs netlist.v
"""
"""The flow, the same for every format: plain gates, ABC's mapping for delay, and buffers and sizes
as the loads want them. All of a unit is in one module; or each of its modules is mapped by itself,
its ports driven and loaded like the unit's own."""


@dataclass(frozen=True)
class Library:
    """A liberty file.

    Attributes
    ----------
    path : Path
        The file.
    """

    path: Path

    @classmethod
    def find(cls, path: Path | None = None) -> "Library":
        """Return the given library, or Debian's OSU 180 nm.

        Raises
        ------
        ToolError
            If there is no such file.
        """
        if path is None and not OSU018.exists():
            raise ToolError(
                "no cell library: apt-get install qflow-tech-osu018, or name one by --liberty"
            )
        found = cls(path or OSU018)
        if not found.path.is_file():
            raise ToolError(f"{path} is no file: it must be a liberty file of cells")
        if not found.name:
            raise ToolError(f"{path} has no library(...): it must be a liberty file of cells")
        return found

    @property
    def name(self) -> str:
        """The library's own name; empty if the file has none."""
        found = re.search(r'library *\( *"?(\w+)"? *\)', self.text)
        return found[1] if found else ""

    @cached_property
    def text(self) -> str:
        """What the file says."""
        return self.path.read_text(errors="replace")

    @cached_property
    def cells(self) -> dict[str, str]:
        """The text of every cell by its name."""
        parts = re.split(r'\bcell *\( *"?(\w+)"? *\)', self.text)[1:]
        return dict(zip(parts[::2], parts[1::2], strict=True))

    def area(self, cell: str) -> float:
        """Return the area of a cell, in the library's unit."""
        found = re.search(r"\barea *: *([\d.]+)", self.cells[cell])
        if not found:
            raise ToolError(f"{self.path} gives no area for {cell}")
        return float(found[1])

    @cached_property
    def gate(self) -> float:
        """Area of the smallest NAND of two inputs, that of one gate equivalent (GE).

        Raises
        ------
        ToolError
            If there is none.
        """
        nands = [name for name in self.cells if re.match(r"(?i)(.*_)?nand2(_?x?1|_)", name)]
        if not nands:
            raise ToolError(f"{self.path} has no NAND of two inputs to count areas in")
        return min(self.area(name) for name in nands)

    @property
    def driver(self) -> str:
        """The inverter that drives a unit's inputs: of strength 4, or else any.

        Raises
        ------
        ToolError
            If there is none.
        """
        inverters = [name for name in self.cells if re.match(r"(?i)(.*_)?inv", name)]
        if not inverters:
            raise ToolError(f"{self.path} has no inverter to drive inputs with")
        return next((name for name in inverters if re.search(r"(?i)x?4$", name)), inverters[0])

    def is_register(self, cell: str) -> bool:
        """Whether a cell is a flip-flop or a latch."""
        return bool(re.search(r"\b(ff|latch) *\(", self.cells.get(cell, "")))


@dataclass(frozen=True)
class Netlist:
    """A unit as standard cells.

    Attributes
    ----------
    top : str
        Its module.
    text : str
        Verilog of cells alone.
    cells : dict of int
        How many there are of each.
    area : float
        Of all cells together, in the library's unit.
    abc_delay : float
        The longest path between registers or ports as ABC sees it, in ns, without the registers'
        own; 0 if there is none. Where modules are mapped each by itself, the longest within one.
    """

    top: str
    text: str
    cells: dict[str, int]
    area: float
    abc_delay: float

    def gates(self, library: Library) -> float:
        """Return the area in gate equivalents."""
        return self.area / library.gate

    def registers(self, library: Library) -> int:
        """Return how many flip-flops there are."""
        return sum(count for cell, count in self.cells.items() if library.is_register(cell))


def synthesise(
    verilog: str, top: str, library: Library, cached: Path, *, flat: bool = True
) -> Netlist:
    """Map Verilog to the cells of a library.

    Parameters
    ----------
    verilog : str
        Of the module and all that it uses.
    top : str
        The module.
    library : Library
        The cells.
    cached : Path
        Folder of the results, each kept under what it was made of.
    flat : bool
        Whether to map all as one module, or each module by itself.

    Returns
    -------
    Netlist
        The same for the same Verilog, library and Yosys.

    Raises
    ------
    ToolError
        If Yosys is missing, fails, or says nothing of the netlist.
    """
    given = inputs(verilog, top, library, flat=flat)

    def make() -> dict[str, object]:
        with folder_of(given) as folder:
            yosys.run(yosys.DEBIAN, folder, given["unit.ys"], log="log.txt")
            return asdict(_read(folder, top, library))

    return Netlist(**kept(cached, top, [*given.values(), yosys.DEBIAN.version()], make))


def inputs(verilog: str, top: str, library: Library, *, flat: bool = True) -> dict[str, str]:
    """Return the files that Yosys is given: the unit, the script, the cells, drive and load."""
    return {
        "unit.v": verilog,
        "unit.ys": SCRIPT.format(top=top, flatten="-flatten " * flat),
        "abc.constr": DRIVE_AND_LOAD.format(driver=library.driver),
        "cells.lib": library.text,
    }


def _read(folder: Path, top: str, library: Library) -> Netlist:
    """Return what Yosys wrote, or say what it did not write."""
    statistics, netlist = folder / "statistics.txt", folder / "netlist.v"
    text = statistics.read_text() if statistics.exists() else ""
    areas = re.findall(r"Chip area for (?:top )?module .*: *([\d.]+)", text)
    # The last statistics are those of the top module, with all below it.
    found = re.findall(r"(?m)^ +(\w+) +(\d+)$", text.rpartition("\n=== ")[2])
    cells = {name: int(count) for name, count in found if name in library.cells}
    if not areas or not cells or not netlist.exists():
        raise ToolError(f"Yosys gave no statistics of {top}: its area is not known")
    delays = re.findall(r"Delay = *([\d.]+) ps", (folder / "log.txt").read_text())
    return Netlist(
        top=top,
        text=netlist.read_text(),
        cells=cells,
        area=float(areas[-1]),
        abc_delay=max(map(float, delays), default=0.0) / 1000,
    )
