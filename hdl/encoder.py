# SPDX-License-Identifier: Apache-2.0
"""IEEE value to HiF8 code: the one place where hardware rounds to HiF8.

Imports `golden.format` and `hdl.layouts`.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden import format as f
from .layouts import Port, code_port, float_layout, signature, word_port


class Encoder(wiring.Component):
    """Encode an IEEE value as an HiF8 code, rounding half away from zero (TA).

    Zero and anything below 2^-23 in magnitude give 0x00, NaN gives 0x80, and |x| from 1.25 * 2^15
    on gives infinity; `saturate` and `nan_to_zero` change that while running.

    Latency: 0 cycles, combinational.

    Parameters
    ----------
    source : FloatFormat
        Layout of the input word: FP32.

    Members
    -------
    x : In(source.width)
        IEEE word.
    saturate : In(1)
        Give the largest finite code in place of an infinity, whatever produced it.
    nan_to_zero : In(1)
        Give zero in place of NaN.
    code : Out(8)
        HiF8 code.

    Notes
    -----
    The exponent continues the mantissa, so rounding is one addition: a carry out of the kept bits
    lands on the next binade's first value. The biased exponent e becomes HiF8's sign and magnitude
    without an adder of its own: below one, |E| is e inverted; from one on, E is e plus 1 without
    its leading bit, and that 1 rides in the same addition.
    """

    latency = 0

    def __init__(self, *, source: f.FloatFormat) -> None:
        if source is not f.FP32:
            raise ValueError(f"source must be FP32, not {source!r}")
        self.source = source
        self.ports = {
            "x": word_port(source, In),
            "saturate": Port(In(1), "1: the largest finite code in place of an infinity"),
            "nan_to_zero": Port(In(1), "1: zero in place of NaN"),
            "code": code_port(Out),
        }
        super().__init__(signature(self.ports))

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the encoder: unpack, round, pack."""
        m = Module()
        x = data.View(float_layout(self.source), self.x)

        def at_least(exponent: int) -> Value:
            """Whether E >= exponent; holds for NaN and infinities too."""
            return x.exponent >= Const(exponent + self.source.bias, self.source.exponent_width)

        # The kept fraction bits follow from |E|: bit i of `kept` tells whether the bit with the
        # weight 2^(i-3) is kept. The hidden bit always is, but in the binade below the smallest
        # denormal, where discarding it means rounding up.
        reach = [
            max(g.magnitudes[-1] for g in f.DOT_FIELDS if g.magnitudes and g.mantissa_width >= n)
            for n in (3, 2, 1)
        ]
        kept = Signal(3)
        ulp = Signal(4)
        fraction = Signal(4)
        tiny = Signal()
        up = Signal()
        from_one = Signal()
        m.d.comb += [
            kept.eq(Cat(at_least(-limit) & ~at_least(limit + 1) for limit in reach)),
            ulp.eq(Cat(kept, 1) & ~Cat(0, kept)),
            fraction.eq(x.fraction[-4:]),
            tiny.eq(~at_least(f.MIN_EXPONENT)),
            up.eq((fraction & ulp).any() | tiny),
            from_one.eq(at_least(0)),
        ]

        rounded = Signal(data.StructLayout({"mantissa": 3, "exponent": self.source.exponent_width}))
        step = Cat(ulp[:3] & up.replicate(3), from_one | ulp[3] & up)
        m.d.comb += rounded.eq(Cat(fraction[1:] & kept, x.exponent) + step)

        # Pack: the largest dot field whose hidden leading one the magnitude has.
        negative = Signal()
        magnitude = Signal(5)
        body = Signal(7)
        m.d.comb += [
            negative.eq(~rounded.exponent[-1]),
            magnitude.eq(rounded.exponent[:5] ^ negative.replicate(5)),
        ]
        with m.If(magnitude[4]):
            m.d.comb += body.eq(rounded.exponent[:3])  # a denormal: M = E + 23
        for field in f.DOT_FIELDS[:-1]:
            width = field.exponent_width
            with m.Elif(magnitude[width - 1]) if width else m.Else():
                m.d.comb += body.eq(
                    Cat(
                        rounded.mantissa[3 - field.mantissa_width :],
                        magnitude[: max(width - 1, 0)],
                        negative if width else Const(0, 0),
                        Const(field.prefix, field.prefix_width),
                    )
                )

        # Special values, saturation last.
        nan = Signal()
        zero = Signal()
        inf = Signal()
        sign = Signal()
        finished = Signal(7)
        m.d.comb += [
            nan.eq(x.exponent.all() & x.fraction.any()),
            zero.eq(~at_least(f.MIN_EXPONENT - 1) | nan),
            inf.eq(at_least(f.MAX_EXPONENT + 1) | magnitude[4] & ~negative | (body == f.INF)),
            sign.eq(Mux(nan, ~self.nan_to_zero, x.sign & ~zero)),
            self.code.eq(Cat(finished, sign)),
        ]
        with m.If(zero):
            m.d.comb += finished.eq(f.ZERO)
        with m.Elif(inf):
            m.d.comb += finished.eq(Cat(~self.saturate, Const(f.INF >> 1, 6)))
        with m.Else():
            m.d.comb += finished.eq(body)
        return m
