# SPDX-License-Identifier: Apache-2.0
"""Driver and monitor of a unit between two valid/ready streams.

Imports `hdl.configs`; cocotb inside the simulator. The clock is driven by hand: inputs change while
it is low, and everything is read before it rises, which is the same in every simulator.
"""

from dataclasses import dataclass, field

import numpy as np
from cocotb.triggers import Timer

from ..hdl.configs import Unit

HALF_PERIOD = Timer(1, "ns")


@dataclass
class Traffic:
    """What went through a unit.

    Attributes
    ----------
    accepted, emitted : list of int
        In which clock cycle each item went in, and each came out.
    outputs : dict of list
        What came out.
    broken : list of str
        Where the handshake's rules were broken.
    """

    accepted: list[int] = field(default_factory=list)
    emitted: list[int] = field(default_factory=list)
    outputs: dict[str, list[int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


async def reset(dut: object, cycles: int = 2) -> None:
    """Hold the reset for some cycles."""
    dut.i_valid.value = 0
    dut.o_ready.value = 0
    dut.rst.value = 1
    for _ in range(cycles):
        dut.clk.value = 0
        await HALF_PERIOD
        dut.clk.value = 1
        await HALF_PERIOD
    dut.rst.value = 0


async def exchange(
    dut: object,
    unit: Unit,
    inputs: dict[str, np.ndarray],
    *,
    gap: float,
    stall: float,
    rng: np.random.Generator,
    leave: int = 0,
) -> Traffic:
    """Send items through a unit and take what comes out.

    Parameters
    ----------
    dut : cocotb handle
        The simulated unit.
    unit : Unit
        What it is.
    inputs : dict of numpy.ndarray
        A column for every input of the unit's core.
    gap, stall : float
        How often, from 0 to 1, the sender pauses and the receiver is not ready.
    rng : numpy.random.Generator
        Decides when.
    leave : int
        How many items to leave inside, or unsent.

    Returns
    -------
    Traffic
        What went in and out, and when. A unit that never lets the last item out is cut off.
    """
    core = unit.core
    items = len(next(iter(inputs.values())))
    patience = 100 + int(20 * items / (1 - gap) / (1 - stall))
    traffic = Traffic(outputs={name: [] for name in core.outputs})
    columns = {name: values.tolist() for name, values in inputs.items()}
    sent, offered, cycle = 0, False, 0
    waiting: tuple[int, ...] | None = None
    while len(traffic.emitted) < items - leave and cycle < patience:
        dut.clk.value = 0
        if not offered and sent < items and rng.random() >= gap:
            offered = True  # and stays so until it is accepted
            for name, values in columns.items():
                getattr(dut, name).value = values[sent]
        dut.i_valid.value = int(offered)
        dut.o_ready.value = int(rng.random() >= stall)
        await HALF_PERIOD
        if offered and int(dut.i_ready.value):
            traffic.accepted.append(cycle)
            sent, offered = sent + 1, False
        valid = int(dut.o_valid.value)
        if waiting is not None and not valid:
            traffic.broken.append(f"cycle {cycle}: o_valid fell before o_ready")
        seen = tuple(int(getattr(dut, name).value) for name in core.outputs) if valid else None
        if waiting is not None and valid and seen != waiting:
            traffic.broken.append(f"cycle {cycle}: outputs changed before o_ready")
        waiting = seen
        if valid and int(dut.o_ready.value):
            traffic.emitted.append(cycle)
            for name, value in zip(core.outputs, seen, strict=True):
                traffic.outputs[name].append(value)
            waiting = None
        dut.clk.value = 1
        await HALF_PERIOD
        cycle += 1
    return traffic
