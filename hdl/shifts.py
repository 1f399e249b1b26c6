# SPDX-License-Identifier: Apache-2.0
"""Shifters: what floating-point units align and normalise with.

Imports nothing of the project.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.utils import ceil_log2


def normalise(
    m: Module, value: Value, name: str, fours: Value | None = None
) -> tuple[Value, Value]:
    """Shift a value left until its highest bit is set.

    Parameters
    ----------
    m : Module
        Receives the logic.
    value : Value
        Unsigned.
    name : str
        Begins the names of the signals made.
    fours : Value, optional
        What `any_of_fours` gives of the value, if it is known earlier.

    Returns
    -------
    shifted : Value
        Of the same width; zero for zero.
    zeros : Value
        How far, the number of leading zeros; as far as it goes for zero.
    """
    empty: Value | None = None
    if len(value) > 4:
        if fours is None:
            fours = any_of_fours(value)
        _, empty = normalise(m, fours, f"{name}_fours")
        for step in reversed(range(len(empty))):
            value = _moved(m, value, 4 << step, empty[step], name)
    skipped: list[Value] = []
    for step in reversed(range(min(2, ceil_log2(len(value))))):
        skip = Signal(name=f"{name}_skip_{1 << step}")
        m.d.comb += skip.eq(~value[-1 << step :].any())
        value = _moved(m, value, 1 << step, skip, name)
        skipped.insert(0, skip)
    return value, Cat(skipped, [] if empty is None else empty)


def any_of_fours(value: Value) -> Value:
    """Return for every four bits, counted from the top, if one is set; the highest for the top."""
    tops = range(len(value), 0, -4)
    return Cat(value[max(top - 4, 0) : top].any() for top in reversed(tops))


def _moved(m: Module, value: Value, distance: int, skip: Value, name: str) -> Value:
    """Shift a value left if so many bits at its top are zero: what comes there needs no `Mux`."""
    moved = Signal(len(value), name=f"{name}_after_{distance}")
    there = (value << distance)[: len(value)]
    low = max(len(value) - distance, 0)
    m.d.comb += [
        moved[:low].eq(Mux(skip, there[:low], value[:low])),
        moved[low:].eq(value[low:] | there[low:] & skip.replicate(len(value) - low)),
    ]
    return moved


def shift_right(m: Module, value: Value, distance: Value, name: str) -> tuple[Value, Value]:
    """Shift a value right, by however much.

    Parameters
    ----------
    m, value, name
        As for `normalise`.
    distance : Value
        Unsigned.

    Returns
    -------
    shifted : Value
        Of the same width.
    lost : Value
        Whether a bit was lost that was set. Anything, if the distance has a bit set that alone
        would shift the value away altogether.
    """
    steps = ceil_log2(len(value) + 1)
    lost: Value = Const(0, 1)
    for step in range(steps - 1):
        lost |= distance[step] & value[: 1 << step].any()
        moved = Signal(len(value), name=f"{name}_after_{1 << step}")
        m.d.comb += moved.eq(Mux(distance[step], value >> (1 << step), value))
        value = moved
    # The last step chooses between two and nothing: with a select for each, not with a mask more.
    half = 1 << steps - 1
    near, far = Signal(name=f"{name}_near"), Signal(name=f"{name}_far")
    gone = distance[steps:].any()
    m.d.comb += [near.eq(~gone & ~distance[steps - 1]), far.eq(~gone & distance[steps - 1])]
    lost |= distance[steps - 1] & value[:half].any()
    shifted = value & near.replicate(len(value)) | (value >> half) & far.replicate(len(value))
    return shifted, lost
