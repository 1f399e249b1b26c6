# SPDX-License-Identifier: Apache-2.0
"""posit(8,2) as an operand; it exists for comparison alone.

Imports `hdl.layouts` and `hdl.baselines.fields`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import PureInterface

from ..layouts import Operand, signature
from .fields import WIDTH, unpacked

EXPONENT_WIDTH = 2
FRACTION_WIDTH = WIDTH - 3 - EXPONENT_WIDTH
"""3: sign, two bits of regime and the exponent leave so many at most."""
LARGEST = WIDTH - 2 << EXPONENT_WIDTH
"""24: the largest value is 2^24, the smallest 2^-24."""


def decode(m: Module, code: Value, name: str) -> PureInterface:
    """Add a decoder: what `Operand.decode` must be.

    After the sign, whose code is the two's complement, comes the regime, a run of equal bits and a
    bit that ends it: k + 1 ones stand for k, k zeros for -k. Then come exponent and fraction, and
    as zeros what has no place.
    """
    sign, body = code[-1], code[:-1]
    something = body.any()
    bits = Signal(len(body), name=f"magnitude_{name}")
    m.d.comb += bits.eq(
        Cat(bit ^ (sign & body[:k].any()) for k, bit in enumerate(body))  # inverted above a one
    )
    first = bits[-1]
    count = Signal(range(len(body)), name=f"count_{name}")
    rest = Signal(EXPONENT_WIDTH + FRACTION_WIDTH, name=f"rest_{name}")
    # goes_on[k]: the run has more than k + 1 bits, and shifts out one more.
    alike, moved = Const(1, 1), bits[: len(rest)]
    goes_on = []
    for k, bit in enumerate(reversed(bits[:-1]), start=1):
        alike = alike & (bit == first)
        goes_on.append(alike)
        if k <= len(rest):
            moved = Mux(alike, (bits << k)[: len(rest)], moved)
    m.d.comb += [rest.eq(moved), count.eq(binary(goes_on))]
    regime = Cat(count ^ (~first).replicate(len(count)), ~first)

    value = signature(POSIT8_FIELDS).create(path=(name,))
    m.d.comb += [
        value.sign.eq(sign),
        value.exponent.eq(Cat(rest[FRACTION_WIDTH:], regime).as_signed()),
        value.significand.eq(Cat(rest[:FRACTION_WIDTH], something)),
        value.zero.eq(~something & ~sign),
        value.inf.eq(0),
        value.nan.eq(~something & sign),
    ]
    return value


POSIT8 = Operand(
    name="posit8",
    width=WIDTH,
    significand_width=FRACTION_WIDTH + 1,
    min_exponent=-LARGEST,
    max_exponent=LARGEST,
    max_significand=1 << FRACTION_WIDTH,
    decode=decode,
)
POSIT8_FIELDS = unpacked(FRACTION_WIDTH + 1, -LARGEST, LARGEST)


def binary(thermometer: list[Value]) -> Value:
    """Return how many of the values are set, of which each implies those before it."""
    count = len(thermometer)
    at_least = dict(enumerate(thermometer, start=1))

    def bit(step: int) -> Value:
        """Whether the count is from an odd multiple of the step on, and not yet at the next."""
        odd = range(step, count + 1, 2 * step)
        return Cat(at_least[k] & ~at_least.get(k + step, Const(0, 1)) for k in odd).any()

    return Cat(bit(1 << place) for place in range(count.bit_length()))
