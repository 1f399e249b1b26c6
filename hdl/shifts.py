# SPDX-License-Identifier: Apache-2.0
"""Shifters: what floating-point units align and normalise with.

Imports nothing of the project.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.utils import ceil_log2


def normalise(m: Module, value: Value, name: str) -> tuple[Value, Value]:
    """Shift a value left until its highest bit is set.

    Parameters
    ----------
    m : Module
        Receives the logic.
    value : Value
        Unsigned.
    name : str
        Begins the names of the signals made.

    Returns
    -------
    shifted : Value
        Of the same width; zero for zero.
    zeros : Value
        How far, the number of leading zeros; as far as it goes for zero.
    """
    skipped: list[Value] = []
    for step in reversed(range(ceil_log2(len(value)))):
        distance = 1 << step
        skip = Signal(name=f"{name}_skip_{distance}")
        moved = Signal(len(value), name=f"{name}_after_{distance}")
        m.d.comb += [
            skip.eq(~value[-distance:].any()),
            moved.eq(Mux(skip, value << distance, value)),
        ]
        skipped.insert(0, skip)
        value = moved
    return value, Cat(skipped)


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
        Whether a bit was lost that was set.
    """
    steps = min(ceil_log2(len(value) + 1), len(distance))
    far = distance[steps:].any()
    lost = far & value.any()
    for step in range(steps):
        moved = Signal(len(value), name=f"{name}_after_{1 << step}")
        lost |= distance[step] & value[: 1 << step].any()
        m.d.comb += moved.eq(Mux(distance[step], value >> (1 << step), value))
        value = moved
    return value & ~far.replicate(len(value)), lost
