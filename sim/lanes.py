# SPDX-License-Identifier: Apache-2.0
"""Many copies of a unit behind wide ports, for simulation at speed.

Imports `hdl.configs`. A simulator's cost is per access from Python, so a bench that moves whole
arrays checks a million values a second instead of some ten thousand.
"""

import numpy as np
from amaranth.lib import wiring
from cocotb.triggers import Timer

from ..hdl.configs import Unit
from ..hdl.layouts import Port

TOP = "lanes"


HANDSHAKES = ("i_ready", "o_valid", "s_axis_tready", "m_axis_tvalid")
"""The outputs with one bit a lane. The lanes of a stream go in step, and a bench sees to it."""
_IN_STEP = ("clk", "rst", "first", "last", "i_valid", "o_ready", "s_axis_tvalid", "m_axis_tready")
"""The inputs that all lanes of a stream share, besides the run-time options."""


def lane_dtype(port: Port) -> np.dtype:
    """Return the type that one lane of a port takes up in the wide port.

    An integer of 1, 2, 4 or 8 bytes or, beyond 64 bits, as many raw bytes as are needed.
    """
    if port.width > 64:
        return np.dtype(f"V{-(-port.width // 8)}")
    size = next(size for size in (1, 2, 4, 8) if size * 8 >= port.width)
    return np.dtype(f"{'i' if port.signed else 'u'}{size}")


def shared(unit: Unit) -> tuple[str, ...]:
    """Return the inputs that all lanes of a unit share."""
    return (*_IN_STEP, *unit.options) if unit.streams else unit.options


def wrapper(unit: Unit, lanes: int) -> str:
    """Return Verilog that puts `lanes` copies of a unit side by side.

    Every data port takes whole bytes a lane, zero- or sign-extended, so that arrays go in and out
    as they are; `shared` inputs go to all lanes. The unit is instantiated by its module's name:
    what is simulated is the exported file itself.

    Parameters
    ----------
    unit : Unit
        A combinational unit, or one between streams.
    lanes : int
        How many copies.
    """
    ports, body, pins = [], [], []
    for name, port in unit.ports.items():
        width, stride = port.width, lane_dtype(port).itemsize * 8
        wide = f"[{stride * lanes - 1}:0] {name}"
        if name in HANDSHAKES:
            ports.append(f"output wire [{lanes - 1}:0] {name}")
            pins.append(f".{name}({name}[k])")
        elif name in shared(unit):
            ports.append(f"input wire {f'[{width - 1}:0] ' if width > 1 else ''}{name}")
            pins.append(f".{name}({name})")
        elif port.member.flow == wiring.In:
            ports.append(f"input wire {wide}")
            pins.append(f".{name}({name}[k * {stride} +: {width}])")
        else:
            fill = f"lane_{name}[{width - 1}]" if port.signed else "1'b0"
            padding = f"{{{stride - width}{{{fill}}}}}, " if stride > width else ""
            ports.append(f"output wire {wide}")
            body.append(f"wire [{width - 1}:0] lane_{name};")
            body.append(f"assign {name}[k * {stride} +: {stride}] = {{{padding}lane_{name}}};")
            pins.append(f".{name}(lane_{name})")
    newline = "\n    "
    return f"""module {TOP} ({", ".join(ports)});
  genvar k;
  generate for (k = 0; k < {lanes}; k = k + 1) begin : lane
    {newline.join(body)}
    {unit.module} unit ({", ".join(pins)});
  end endgenerate
endmodule
"""


async def run(
    dut: object,
    unit: Unit,
    lanes: int,
    inputs: dict[str, np.ndarray],
    options: dict[str, int],
) -> dict[str, np.ndarray]:
    """Run arrays through the lanes of a simulated `wrapper`, a step for each `lanes` cases.

    Parameters
    ----------
    dut : cocotb handle
        The simulated top.
    unit : Unit
        What is in the lanes.
    lanes : int
        How many there are.
    inputs : dict of numpy.ndarray
        A one-dimensional array of `lane_dtype` for every data input, all of one length.
    options : dict of int
        A value for every run-time option.

    Returns
    -------
    dict of numpy.ndarray
        What came out of every output, of the same length.
    """
    for name, value in options.items():
        getattr(dut, name).value = value
    cases = len(next(iter(inputs.values())))
    outputs = {name: np.empty(cases, lane_dtype(unit.ports[name])) for name in unit.outputs}
    drives = [(getattr(dut, name), values) for name, values in inputs.items()]
    reads = [(getattr(dut, name), values) for name, values in outputs.items()]
    step = Timer(1, "ns")
    for start in range(0, cases, lanes):
        part = slice(start, min(start + lanes, cases))
        for port, values in drives:
            port.value = int.from_bytes(values[part].tobytes(), "little")
        await step
        for port, values in reads:
            bits = port.value.to_unsigned()
            read = np.frombuffer(bits.to_bytes(lanes * values.itemsize, "little"), values.dtype)
            values[part] = read[: part.stop - part.start]
    return outputs
