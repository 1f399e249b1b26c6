# SPDX-License-Identifier: Apache-2.0
"""How long a netlist's longest path takes, by OpenSTA."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from .cache import kept
from .program import Program, ToolError, folder_of
from .synthesis import Library, Netlist

STA = Program("sta", "apt-get install opensta", ("-version",))

PERIOD = 100
"""Of the clock that slacks are counted from, in ns; it changes no path."""

# Inputs change at the clock's edge and outputs are taken at the next, so that a unit is as slow as
# it is between registers of others. A unit without registers has a clock of the mind alone.
SCRIPT = """\
read_liberty cells.lib
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period}{pin}
set_driving_cell -lib_cell {driver} [all_inputs]
set_load 0.05 [all_outputs]
set_input_delay 0 -clock clock [all_inputs]
set_output_delay 0 -clock clock [all_outputs]
report_checks -path_delay max -digits 4
"""
"""What OpenSTA does; the longest path takes the period less the slack."""


@dataclass(frozen=True)
class Timing:
    """The longest path of a netlist.

    Attributes
    ----------
    delay : float
        In ns, with a register's own delay and set-up time where it begins or ends in one: the
        shortest period of a clock, without wires.
    begins, ends : str
        ``register`` or ``port``.
    """

    delay: float
    begins: str
    ends: str


def script(netlist: Netlist, library: Library) -> str:
    """Return the commands that time a netlist."""
    clocked = re.search(r"(?m)^ +input clk;", netlist.text)
    return SCRIPT.format(
        top=netlist.top,
        period=PERIOD,
        pin=" clk" if clocked else "",
        driver=library.driver,
    )


def longest_path(netlist: Netlist, library: Library, cached: Path) -> Timing:
    """Return the longest path of a netlist.

    Parameters
    ----------
    netlist : Netlist
        Of the library's cells; its clock is called ``clk``.
    library : Library
        The cells.
    cached : Path
        Folder of the results, each kept under what it was made of.

    Raises
    ------
    ToolError
        If OpenSTA is missing, fails, or finds no path.
    """
    given = {
        "cells.lib": library.text,
        "netlist.v": netlist.text,
        "sta.tcl": script(netlist, library),
    }

    def make() -> dict[str, object]:
        with folder_of(given) as folder:
            return asdict(_read(STA.run(folder, "-exit", "sta.tcl"), netlist.top))

    return Timing(**kept(cached, f"{netlist.top}-timing", [*given.values(), STA.version()], make))


def _read(said: str, top: str) -> Timing:
    """Return the path that OpenSTA reported, or say that it reported none."""
    slack = re.search(r"(-?[\d.]+) +slack", said)
    ends = dict(re.findall(r"(Startpoint|Endpoint): [^(]*\(([^)]*)\)", said))
    if not slack or len(ends) != 2:
        wrong = re.search(r"(?m)^Error: .*$", said)
        raise ToolError(f"OpenSTA found no path in {top}{f': {wrong[0]}' if wrong else ''}")
    begins, ends = (
        "register" if "flip-flop" in ends[key] else "port" for key in ("Startpoint", "Endpoint")
    )
    return Timing(round(PERIOD - float(slack[1]), 4), begins, ends)
