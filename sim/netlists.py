# SPDX-License-Identifier: Apache-2.0
"""Netlists of standard cells: each through its unit's own bench, and against its RTL by proof.

Icarus takes the vendor's models of the cells, Verilator the functions that the liberty file states,
from which the netlist was mapped.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

from .. import files
from ..hdl.configs import Unit
from ..toolchain import pool, yosys
from ..toolchain.program import ToolError, folder_of
from ..toolchain.synthesis import Library, Netlist, synthesise
from . import verify
from .proofs.netlists import Equivalence, equivalent
from .verify import Verdict

CELLS = 2000
"""Cells that are simulated side by side: as many copies of a combinational netlist as have no more,
for a larger model takes longer to build than it saves. Of one with registers there is but one."""

RANDOM_CASES = 1 << 12
"""Random cases that a bench adds, for gates take longer to build and to simulate than RTL."""


@dataclass(frozen=True)
class Checked:
    """A netlist, and what became of it.

    Attributes
    ----------
    unit : str
        Whose netlist.
    library, yosys : str
        Whose cells, and which version made it of them.
    cells, registers : int
        How many there are; registers are among the cells.
    verdicts : list of Verdict
        What the unit's bench said of it, under each simulator.
    equivalence : Equivalence
        Whether it is its RTL.
    verilog : str
        The sha256 of that RTL.
    """

    unit: str
    library: str
    yosys: str
    cells: int
    registers: int
    verdicts: list[Verdict]
    equivalence: Equivalence
    verilog: str

    @property
    def passed(self) -> bool:
        """Whether it is its RTL, and all that was simulated was right."""
        return self.equivalence.equivalent and not any(v.status == "fail" for v in self.verdicts)


@cache
def models(library: Library, simulator: str) -> str:
    """Return Verilog of the cells for a simulator.

    Raises
    ------
    ToolError
        If there is none of the vendor's, or Yosys makes none of the liberty file.
    """
    if simulator == "icarus":
        vendors = library.path.with_suffix(".v")
        if not vendors.exists():
            raise ToolError(f"there are no models of the cells of {library.name}: {vendors}")
        return vendors.read_text()
    script = "read_liberty -ignore_miss_func cells.lib\nwrite_verilog -noattr cells.v"
    with folder_of({"cells.lib": library.text}) as folder:
        yosys.run(yosys.PYPI, folder, script)
        return (folder / "cells.v").read_text()


def simulate(
    unit: Unit,
    netlist: Netlist,
    library: Library,
    simulator: str,
    *,
    root: Path,
    random_cases: int = RANDOM_CASES,
    **how: object,
) -> Verdict:
    """Run a unit's bench on its netlist.

    Parameters
    ----------
    unit, netlist, library, simulator
        What to run, made of which cells, under which simulator.
    root : Path
        Folder of builds and runs.
    random_cases : int
        How many random cases the bench adds.
    **how
        Further arguments of `verify.run`.
    """
    verdict, _ = verify.run(
        unit,
        simulator,
        root=root,
        random_cases=random_cases,
        text=f"{netlist.text}\n{models(library, simulator)}",
        copies=1 if unit.streams else max(1, CELLS // sum(netlist.cells.values())),
        **how,
    )
    return replace(verdict, command=f"hif8 netlist {unit.name} --sim {simulator}")


def check_all(
    units: list[Unit],
    simulators: list[str],
    library: Library,
    *,
    root: Path,
    cached: Path,
    saved: Path,
    random_cases: int = RANDOM_CASES,
    progress: Callable[[Unit, str, int, int], None] = lambda unit, name, done, total: None,
) -> list[Checked]:
    """Map units to cells, simulate and prove their netlists, several at a time.

    Each module of a unit is mapped by itself, so that it can be compared by itself.

    Parameters
    ----------
    units : list of Unit
        Whose netlists.
    simulators : list of str
        What to run their benches in; none for the proof alone.
    library : Library
        The cells.
    root, cached, saved : Path
        Folders of builds and runs, of netlists, and of what became of each.
    random_cases : int
        How many random cases the benches add.
    progress : callable
        Told which unit is in what, and how many cases of how many are done.

    Raises
    ------
    ToolError
        If a tool is missing or gives no answer; other units are stopped.
    """

    def one(unit: Unit) -> Checked:
        netlist = synthesise(verify.exported(unit), unit.module, library, cached, flat=False)

        def simulated(name: str) -> Verdict:
            report = partial(progress, unit, name)
            how = {"root": root, "random_cases": random_cases, "progress": report}
            return simulate(unit, netlist, library, name, **how)

        checked = Checked(
            unit=unit.name,
            library=library.name,
            yosys=yosys.DEBIAN.version(),
            cells=sum(netlist.cells.values()),
            registers=netlist.registers(library),
            equivalence=equivalent(unit, netlist, library),
            verdicts=[simulated(name) for name in simulators],
            verilog=verify.digest(unit),
        )
        save(checked, saved)
        return checked

    return list(pool.in_order(pool.threads(one, units)))


def save(checked: Checked, folder: Path) -> Path:
    """Write what became of a netlist where the report finds it, and return the file."""
    text = json.dumps(asdict(checked), indent=2)
    return files.write(folder / f"{checked.unit}.json", f"{text}\n".encode())
