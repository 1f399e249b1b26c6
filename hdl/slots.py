# SPDX-License-Identifier: Apache-2.0
"""From an exact product to its place among the bits of a fixed-point sum.

Imports `hdl.layouts` and `hdl.unit`. A frame is a little wider than a product's significand, which
the low bits of the exponent turn around in it. Every bit of the sum can then come from one bit of
the frame alone: the high bits of the exponent say in which slots of the sum it does. That is less
than shifting a product through the whole width.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import PureInterface
from amaranth.utils import ceil_log2

from .layouts import Operand
from .unit import Values

STEPS = 3
SLOT = 1 << STEPS
"""Bits of a slot. A product's significand begins in one, and ends in the next or soon after."""


def frame_width(operand: Operand) -> int:
    """Return the bits of a frame: room for a product that begins anywhere in a slot, and a sign."""
    return 1 << ceil_log2(2 * operand.significand_width + SLOT)


def turned(m: Module, operand: Operand, product: PureInterface, name: str) -> Values:
    """Add the logic that turns a product within its frame.

    Returns
    -------
    dict of Value
        ``frame``, with all bits inverted if ``negative``; ``slot``, signed, the one in which the
        frame begins; ``finite``, or nothing is to be put there.
    """
    width = frame_width(operand)
    negative = product.sign
    fill = (width - len(product.significand)) * [negative]
    frame = Cat(product.significand ^ negative.replicate(len(product.significand)), *fill)
    for step in range(ceil_log2(width)):
        after = Signal(width, name=f"{name}_after_{1 << step}")
        m.d.comb += after.eq(Mux(product.exponent[step], frame.rotate_left(1 << step), frame))
        frame = after
    slot = product.exponent[STEPS:].as_signed()
    return {"frame": frame, "negative": negative, "slot": slot, "finite": ~product.inf}


def placed(m: Module, operand: Operand, values: Values, name: str) -> Values:
    """Add the logic that puts what `turned` gives in its place.

    Returns
    -------
    dict of Value
        ``total``, signed, and ``carry``, one bit to be added to it, in units of 2^product_unit.
    """
    frame, negative = values["frame"], values["negative"]
    span = len(frame) // SLOT
    begins = range(operand.product_unit >> STEPS, (2 * operand.max_exponent >> STEPS) + 1)
    bits = []
    for k, slot in enumerate(range(begins[0], begins[-1] + span)):
        here, beside = (Signal(name=f"{name}_{where}_slot_{k}") for where in ("in", "beside"))
        starts = (
            values["slot"] == s if s else ~values["slot"].any()
            for s in range(slot - span + 1, slot + 1)
            if s in begins
        )
        m.d.comb += [
            here.eq(reduce(or_, starts) & values["finite"]),
            beside.eq(negative & ~here),
        ]
        digit = frame.word_select(slot % span, SLOT)
        bits.append(digit & here.replicate(SLOT) | beside.replicate(SLOT))
    # The first slot begins below the lowest bit of the sum: what is there is zero, or all signs.
    skipped = operand.product_unit + operand.product_point - begins[0] * SLOT
    total = Signal(signed(operand.product_width + 1), name=f"{name}_total")
    m.d.comb += total.eq(Cat(Cat(bits)[skipped:][: operand.product_width], negative))
    return {"total": total, "carry": negative}
