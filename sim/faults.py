# SPDX-License-Identifier: Apache-2.0
"""Netlists of units with faults, and an input that chooses which is active.

Yosys makes gates of a unit's
exported Verilog and puts faults into them: a pin inverted, or stuck at 0 or 1.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..hdl.configs import Unit
from ..hdl.layouts import Port
from ..toolchain import yosys
from ..toolchain.program import ToolError, folder_of
from . import verify
from .bench_mutants import SELECT, Mutated
from .proofs import tool

# Registers become plain ones, their enables and resets gates. Their own pins get no fault: the data
# pins are those of gates besides, and a clock is not of logic.
_MUTATE = """
read_verilog {module}.v
hierarchy -check -top {module}
proc -norom
flatten
opt -full
dffunmap
techmap
opt_expr
opt_merge
opt_clean -purge
rename {module} faulty
mutate -list {count} -seed {seed} -ctrl {select} {width} 1 -o faults.ys t:$_DFF_* %n
script faults.ys
opt_clean
write_verilog -noattr faulty.v
"""

_BITS = """
techmap
techmap -map mux.v
opt_expr
opt_merge
splitnets -ports -format __
opt_clean -purge
write_verilog -noattr bits.v
"""

_MUX = r"""
module \$_MUX_ (input A, B, S, output Y);
  assign Y = S & B | ~S & A;
endmodule
"""


@dataclass(frozen=True)
class Fault:
    """A fault, and what became of it.

    Attributes
    ----------
    number : int
        From 1 on: the value of the netlist's input that makes it active.
    what : str
        What was done to which pin, and where in the exported Verilog that comes from.
    verdict : str
        ``killed``, ``equivalent`` or ``survived``.
    cases : int
        In how many cases of the bench it was noticed, if it was killed.
    note : str
        For one that survived: an input under which it shows, or that the solver found none in time.
    """

    number: int
    what: str
    verdict: str = ""
    cases: int = 0
    note: str = ""


def _describe(line: str) -> str:
    """Return what a line of Yosys' list of faults does, in short."""
    words = line.split()
    values = dict(pairwise(words))
    sources = [b for a, b in pairwise(words) if a == "-src"]
    wire = f" on {values['-wire']}[{values['-wirebit']}]" if "-wire" in values else ""
    where = f" ({sources[0]})" if sources else ""
    pin = f"{values['-port']}[{values['-portbit']}]"
    return f"{values['-mode']} at {pin} of {values['-cell']}{wire}{where}"


@dataclass(frozen=True)
class Faulty:
    """A unit's netlist with faults.

    Attributes
    ----------
    row : Mutated
        Its row.
    netlist : str
        Verilog of the module ``faulty``: the unit's ports and the input that chooses a fault.
    bits : str
        The same netlist in ports, wires and gates of one bit.
    faults : list of Fault
        All of them, without a verdict.
    """

    row: Mutated
    netlist: str
    bits: str
    faults: list[Fault]


def bits_of(name: str, port: Port) -> list[str]:
    """Return what a port's bits are called in a netlist of single bits."""
    return [f"{name}_{k}_" for k in range(port.width)] if port.width > 1 else [name]


def inject(unit: Unit, count: int, seed: int) -> Faulty:
    """Put faults into a unit's netlist.

    Parameters
    ----------
    unit : Unit
        The unit.
    count : int
        How many faults, if there are as many pins and ways.
    seed : int
        Chooses them.

    Raises
    ------
    ValueError
        If none is asked for.
    ToolError
        If there is none, or the tool fails.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count!r}")
    tool()
    row = Mutated.of(unit, count.bit_length())
    with folder_of({f"{unit.module}.v": verify.exported(unit), "mux.v": _MUX}) as folder:
        chosen = {"module": unit.module, "count": count, "seed": seed, "width": row.width}
        yosys.run(yosys.PYPI, folder, (_MUTATE + _BITS).format(select=SELECT, **chosen))
        listed = (folder / "faults.ys").read_text().splitlines()
        netlist = (folder / "faulty.v").read_text()
        bits = (folder / "bits.v").read_text()
    faults = [Fault(number, _describe(line)) for number, line in enumerate(listed, start=1)]
    if not faults:
        raise ToolError(f"{yosys.PYPI.name} found no place for a fault in {unit.module}")
    return Faulty(row, netlist, bits, faults)
