# SPDX-License-Identifier: Apache-2.0
"""FP32 to FP8, rounding to nearest even; it exists for comparison alone.

Imports `golden.format`, `hdl.layouts`, `hdl.unit`, `hdl.baselines.fields` and `minifloat`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ...golden.format import FP32
from ..layouts import Port, float_layout, word_port
from ..unit import Combinational, Stage, Values, named, picked
from .fields import SELECT, WIDTH
from .minifloat import Minifloat, selects


class Encode(Combinational):
    """Encode an FP32 value in one of one or two formats of 8 bits.

    Rounds half to even. What is beyond the largest finite value after that, infinity included,
    gives infinity, or NaN where there is none; `saturate` and `nan_to_zero` change that as they do
    for HiF8. The sign is always kept.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    formats : tuple of Minifloat
        One, or two and a select.

    Members
    -------
    x : In(32)
        FP32 word.
    select : In(1)
        Only with two formats: 1 for the second.
    saturate : In(1)
        Give the largest finite code in place of what is beyond it, infinity included.
    nan_to_zero : In(1)
        Give zero in place of a NaN that comes in.
    code : Out(8)
        Code.
    """

    def __init__(self, *, formats: tuple[Minifloat, ...]) -> None:
        self.formats = formats
        select = {"select": SELECT} if len(formats) > 1 else {}
        options = {
            "saturate": "1: the largest finite code in place of what is beyond it",
            "nan_to_zero": "1: zero in place of NaN",
        }
        super().__init__(
            {
                "x": word_port(FP32, In),
                **select,
                **{name: Port(In(1), bits) for name, bits in options.items()},
            },
            {"code": Port(Out(WIDTH), "code")},
        )

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the encoder: cut, round, pack."""
        x = data.View(float_layout(FP32), inputs["x"])
        choices = zip(
            selects(inputs.get("select")),
            (cut(one, x, self._significand(m, x)) for one in self.formats),
            strict=True,
        )
        field = named(m, picked(choices), "cut")
        rounded = Signal(WIDTH)
        up = field["guard"] & (field["magnitude"][0] | field["sticky"])
        m.d.comb += rounded.eq(field["magnitude"] + up)

        nan = x.exponent.all() & x.fraction.any()
        magnitude = Signal(WIDTH - 1)
        with m.If(nan):
            m.d.comb += magnitude.eq(Mux(inputs["nan_to_zero"], 0, field["nan"]))
        with m.Elif(field["huge"] | (rounded >= field["beyond"])):
            m.d.comb += magnitude.eq(Mux(inputs["saturate"], field["largest"], field["beyond"]))
        with m.Else():
            m.d.comb += magnitude.eq(rounded)
        return stage({"code": Cat(magnitude, x.sign)})

    def _significand(self, m: Module, x: data.View) -> Value:
        """Return the significand down to the guard bit, and one bit for all below that."""
        below = FP32.fraction_width - 1 - max(one.fraction_width for one in self.formats)
        rest = Signal()
        m.d.comb += rest.eq(x.fraction[:below].any())
        return Cat(rest, x.fraction[below:], 1)


def cut(one: Minifloat, x: data.View, significand: Value) -> Values:
    """Return the bits of a code before rounding, those that decide it, and the format's limits.

    A normal number's exponent field is FP32's with another bias, a difference in the leading bit
    alone. A subnormal one's fraction has moved right, and the hidden bit with it.
    """
    width, half = one.fraction_width, 1 << one.exponent_width - 1
    lowest = 129 - half  # FP32's field of the smallest normal number

    def window(places: int) -> Values:
        """Return the fraction, the guard bit and what is below it after a shift."""
        guard = len(significand) - 2 - width + places
        return {
            "fraction": Cat(significand[guard + 1 :], Const(0, width))[:width],
            "guard": significand[guard],
            "sticky": significand[:guard].any(),
        }

    normal = x.exponent >= lowest
    places = [(normal, window(0))]
    places += [(x.exponent == lowest - k, window(k)) for k in range(1, width + 2)]
    moved = picked(places)
    low = x.exponent[: one.exponent_width]
    field = Cat(low[:-1], ~low[-1]) & normal.replicate(one.exponent_width)
    return {
        "magnitude": Cat(moved["fraction"], field),
        "guard": moved["guard"],
        "sticky": moved["sticky"],
        "huge": x.exponent >= 128 + half,
        "beyond": Const(one.beyond, WIDTH - 1),
        "largest": Const(one.beyond - 1, WIDTH - 1),
        "nan": Const(one.nan, WIDTH - 1),
    }
