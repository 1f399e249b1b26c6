# SPDX-License-Identifier: Apache-2.0
"""Driver and monitor of a unit between two valid/ready streams.

Imports `hdl.configs`; cocotb inside the simulator. The clock is driven by hand: inputs change while
it is low, and everything is read before it rises, which is the same in every simulator.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from cocotb.triggers import Timer

from ..hdl.configs import Unit

HALF_PERIOD = Timer(1, "ns")

PATIENCE = 1000
"""Cycles in a row in which nothing goes in or comes out, after which a unit is given up."""

TRAFFIC = {
    "steady": (0.0, 0.0),
    "gaps": (0.5, 0.0),
    "stalls": (0.0, 0.5),
    "gaps and stalls": (0.3, 0.6),
    "after a reset in the middle": (0.0, 0.3),
}
"""How often, from 0 to 1, sender and receiver pause, by what the traffic is called."""


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

    @property
    def interval(self) -> int:
        """The most cycles from one accepted item to the next."""
        return int(np.diff(self.accepted).max(initial=0))


def cut_short(before: Traffic, whole: Traffic) -> list[str]:
    """Return where traffic that a reset cut off was broken, or was not as the whole begins."""
    other = [
        f"{name} was another before a reset"
        for name, values in before.outputs.items()
        if values != whole.outputs[name][: len(values)]
    ]
    return before.broken + other


class Stages:
    """What a pipeline's handshakes must be: a stage moves on if the next is empty or moves itself.

    Parameters
    ----------
    count : int
        How many register stages there are.
    """

    def __init__(self, count: int) -> None:
        self._emits: list[bool | None] = [None] * count

    def check(self, ready: bool, valid: bool, taking: int, traffic: Traffic, cycle: int) -> None:
        """Note where a handshake is not what it must be, before the clock rises."""
        free = bool(taking) or None in self._emits
        full = bool(self._emits) and self._emits[-1] is not None
        if ready != free:
            traffic.broken.append(f"cycle {cycle}: i_ready is {ready:d}, not {free:d}")
        if self._emits and valid != full:
            traffic.broken.append(f"cycle {cycle}: o_valid is {valid:d}, not {full:d}")

    def step(self, item: bool | None, taking: int) -> None:
        """Move on at a clock edge.

        Parameters
        ----------
        item : bool or None
            Whether the accepted item comes out again; None if none is accepted.
        taking : int
            Whether the receiver is ready.
        """
        moves = bool(taking)
        for stage in reversed(range(len(self._emits))):
            moves |= self._emits[stage] is None
            if moves:
                incoming = self._emits[stage - 1] if stage else item
                last = stage == len(self._emits) - 1
                self._emits[stage] = None if last and not incoming else incoming


async def reset(dut: object, cycles: int = 1) -> None:
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
    leave: int = 0,
    **how: object,
) -> Traffic:
    """Send items through a unit whose items each give one, and take what comes out.

    Parameters
    ----------
    dut : cocotb handle
        The simulated unit.
    unit : Unit
        What it is.
    inputs : dict of numpy.ndarray
        A column for every input of the unit's core.
    leave : int
        How many items to leave inside, or unsent.
    **how
        Further arguments of `transact`.

    Returns
    -------
    Traffic
        What went in and out, and when.
    """
    columns = {name: values.tolist() for name, values in inputs.items()}
    results = len(next(iter(columns.values()))) - leave
    return await transact(dut, columns, unit.core.outputs, results, latency=unit.latency, **how)


async def transact(
    dut: object,
    inputs: dict[str, list[int]],
    outputs: Iterable[str],
    results: int,
    *,
    gap: float,
    stall: float,
    rng: np.random.Generator,
    every: int = 1,
    latency: int | None = None,
    emits: list[int] | None = None,
    cycles: int | None = None,
) -> Traffic:
    """Send items into a stream until so many have come out of another.

    Parameters
    ----------
    dut : cocotb handle
        The simulated top.
    inputs : dict of list of int
        What every input port is at every item.
    outputs : iterable of str
        The output ports.
    results : int
        How many items must come out.
    gap, stall : float
        How often, from 0 to 1, the sender pauses and the receiver is not ready.
    rng : numpy.random.Generator
        Decides when.
    every : int
        What a handshake of lanes in step reads as when it is set: a one for each.
    latency : int, optional
        How many register stages the unit has: both handshakes must then be, in every cycle, what
        they are in stages that move on as soon as they can (`Stages`).
    emits : list of int, optional
        Whether each item comes out again, by default all.
    cycles : int, optional
        After how many clock cycles to stop at the latest.

    Returns
    -------
    Traffic
        What went in and out, and when.
    """
    outputs = tuple(outputs)
    items = len(next(iter(inputs.values())))
    traffic = Traffic(outputs={name: [] for name in outputs})
    drives = [(getattr(dut, name), values) for name, values in inputs.items()]
    reads = [getattr(dut, name) for name in outputs]
    clk, i_valid, i_ready = dut.clk, dut.i_valid, dut.i_ready
    o_valid, o_ready = dut.o_valid, dut.o_ready
    stages = None if latency is None else Stages(latency)
    sent, offered, cycle, idle = 0, False, 0, 0
    waiting: tuple[int, ...] | None = None
    while len(traffic.emitted) < results and idle < PATIENCE and cycle != cycles:
        idle += 1
        clk.value = 0
        if not offered and sent < items and rng.random() >= gap:
            offered = True  # and stays so until it is accepted
            for port, values in drives:
                port.value = values[sent]
        i_valid.value = int(offered)
        taking = int(rng.random() >= stall)
        o_ready.value = taking
        await HALF_PERIOD
        accepted, valid = (_agreed(port, every, traffic, cycle) for port in (i_ready, o_valid))
        if stages:
            stages.check(accepted, valid, taking, traffic, cycle)
            stages.step((not emits or emits[sent]) if offered and accepted else None, taking)
        if offered and accepted:
            traffic.accepted.append(cycle)
            sent, offered, idle = sent + 1, False, 0
        if waiting is not None and not valid:
            traffic.broken.append(f"cycle {cycle}: o_valid fell before o_ready")
        seen = tuple(port.value.to_unsigned() for port in reads) if valid else None
        if waiting is not None and valid and seen != waiting:
            traffic.broken.append(f"cycle {cycle}: outputs changed before o_ready")
        waiting = seen
        if valid and taking:
            traffic.emitted.append(cycle)
            idle = 0
            for name, value in zip(outputs, seen, strict=True):
                traffic.outputs[name].append(value)
            waiting = None
        clk.value = 1
        await HALF_PERIOD
        cycle += 1
    return traffic


async def reset_when_full(
    dut: object,
    inputs: dict[str, list[int]],
    outputs: Iterable[str],
    *,
    depth: int,
    rng: np.random.Generator,
    every: int = 1,
) -> list[str]:
    """Reset a unit at every moment while it fills up: nothing of what is inside may come out.

    Parameters
    ----------
    dut, inputs, outputs, rng, every
        As for `transact`; every input item should come out, for only those can be seen to.
    depth : int
        After how many cycles it is full, the receiver taking nothing. It is also reset after as
        many in which the receiver takes some.

    Returns
    -------
    list of str
        What came out.
    """
    broken = []
    silence = {name: [] for name in inputs}
    for stall, cycles in product((1.0, 0.5), range(1, depth + 2)):
        how = {"rng": rng, "every": every}
        await transact(dut, inputs, outputs, depth, gap=0, stall=stall, cycles=cycles, **how)
        await reset(dut)
        after = await transact(dut, silence, outputs, 1, gap=0, stall=0, cycles=2 * depth, **how)
        broken += after.broken
        if after.emitted:
            broken.append(f"an item came out after a reset in cycle {cycles}")
    return broken


def _agreed(port: object, every: int, traffic: Traffic, cycle: int) -> bool:
    """Return what a handshake is in all lanes."""
    value = int(port.value)
    if value not in (0, every):
        traffic.broken.append(f"cycle {cycle}: {port._name} differs between the lanes")
    return value == every
