# SPDX-License-Identifier: Apache-2.0
"""IEEE value to HiF8 code: the one place where hardware rounds to HiF8.

Imports `golden.format` and `hdl.layouts`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..golden import format as f
from .layouts import Port, code_port, float_layout, word_port
from .unit import Combinational, Stage, Values


class Encoder(Combinational):
    """Encode an IEEE value as an HiF8 code, by TA or, chosen while running, by HR.

    TA rounds half away from zero. HR, hybrid rounding, is TA where |E| < 4; elsewhere it rounds up
    exactly if F >= T, the leading discarded bits against the mantissa's own low bits (`Rounding` of
    the golden model says it in full). **Under HR an exact FP32 value with |E| >= 4 moves up**, as
    the paper and the vendor define it, unless `keep_exact`.

    Zero and anything below 2^-23 in magnitude give 0x00, NaN gives 0x80, and |x| from 1.25 * 2^15
    on gives infinity; `saturate` and `nan_to_zero` change that while running.

    Latency: 0 cycles, combinational; `Streamed` makes pipelines of it.

    Parameters
    ----------
    source : FloatFormat
        Layout of the input word: FP32, FP16 or BF16.
    hybrid : bool
        Build HR and the input that chooses it.
    keep_exact : bool
        With HR, leave values that HiF8 represents as they are.

    Members
    -------
    x : In(source.width)
        IEEE word.
    hybrid : In(1)
        Round by HR instead of TA; only with the parameter.
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

    stages = 2

    def __init__(
        self, *, source: f.FloatFormat, hybrid: bool = False, keep_exact: bool = False
    ) -> None:
        if not source.hybrid_width:
            raise ValueError(f"source must be FP32, FP16 or BF16, not {source.name!r}")
        if keep_exact and not hybrid:
            raise ValueError("keep_exact must be False without hybrid, not True")
        self.source = source
        self.has_hybrid = hybrid
        self.keep_exact = keep_exact
        options = {
            "hybrid": "1: round by HR, 0: by TA",
            "saturate": "1: the largest finite code in place of an infinity",
            "nan_to_zero": "1: zero in place of NaN",
        }
        if not hybrid:
            del options["hybrid"]
        super().__init__(
            {
                "x": word_port(source, In),
                **{name: Port(In(1), bits) for name, bits in options.items()},
            },
            {"code": code_port(Out)},
        )

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the encoder: unpack, decide, round, pack."""
        x = data.View(float_layout(self.source), inputs["x"])
        exponent, fraction = self._normalise(m, x)
        bias = (1 << len(exponent) - 1) - 1

        def at_least(limit: int) -> Value:
            """Whether E >= limit; holds for NaN and infinities too."""
            return exponent >= Const(limit + bias, len(exponent))

        # The kept fraction bits follow from |E|: bit i of `kept` tells whether the bit with the
        # weight 2^(i-3) is kept. The hidden bit always is, but in the binade below the smallest
        # denormal, where discarding it means that it leads the discarded bits.
        reach = [
            max(g.magnitudes[-1] for g in f.DOT_FIELDS if g.magnitudes and g.mantissa_width >= n)
            for n in (3, 2, 1)
        ]
        kept = Signal(3)
        ulp = Signal(4)
        tiny = Signal()
        away = Signal()
        up = Signal()
        m.d.comb += [
            kept.eq(Cat(at_least(-limit) & ~at_least(limit + 1) for limit in reach)),
            ulp.eq(Cat(kept, 1) & ~Cat(0, kept)),
            tiny.eq(~at_least(f.MIN_EXPONENT)),
            away.eq((fraction[-4:] & ulp).any() | tiny),
        ]
        if self.has_hybrid:
            compared = self._compare(m, x.fraction, fraction, ulp, tiny)
            overflow = at_least(f.MAX_EXPONENT) & away
            m.d.comb += up.eq(Mux(inputs["hybrid"] & ~kept[0], compared | overflow, away))
        else:
            m.d.comb += up.eq(away)

        nan = Signal()
        m.d.comb += nan.eq(x.exponent.all() & x.fraction.any())
        cut = stage(
            {
                "base": Cat(fraction[-3:] & kept, exponent),
                "ulp": ulp,
                "up": up,
                "from_one": at_least(0),
                "huge": at_least(f.MAX_EXPONENT + 1),
                "zero": ~at_least(f.MIN_EXPONENT - 1) | tiny & ~up | nan,
                "nan": nan,
                "sign": x.sign,
                "saturate": inputs["saturate"],
                "nan_to_zero": inputs["nan_to_zero"],
            }
        )
        return stage({"code": self._pack(m, cut)})

    def _normalise(self, m: Module, x: data.View) -> tuple[Value, Value]:
        """Return exponent and fraction of a normal number in a format of the same bias pattern.

        Formats with the exponent range of FP32 pass as they are: their subnormals are far below
        HiF8's smallest value. FP16's count: its exponent gets a bit and the bias 31, and subnormals
        are shifted until their leading one is the hidden bit.
        """
        if self.source is not f.FP16:
            return x.exponent, x.fraction
        shifted = x.fraction
        zeros = []
        for distance in (8, 4, 2, 1):
            skip = Signal(name=f"skip_{distance}")
            moved = Signal(len(x.fraction), name=f"shifted_{distance}")
            m.d.comb += [
                skip.eq(~shifted[-distance:].any()),
                moved.eq(Mux(skip, shifted << distance, shifted)),
            ]
            zeros.insert(0, skip)
            shifted = moved
        subnormal = Signal()
        exponent = Signal(6)
        fraction = Signal(len(x.fraction))
        leading_zeros = Cat(*zeros)
        m.d.comb += [
            subnormal.eq(~x.exponent.any()),
            exponent.eq(
                Mux(
                    subnormal,
                    Const(16, 6) - leading_zeros,
                    Cat(x.exponent[:-1], ~x.exponent[-1], x.exponent[-1]),
                )
            ),
            fraction.eq(Mux(subnormal, shifted << 1, x.fraction)),
        ]
        return exponent, fraction

    def _compare(self, m: Module, raw: Value, fraction: Value, ulp: Value, tiny: Value) -> Value:
        """Return F >= T of hybrid rounding: the leading discarded bits against the raw low bits."""
        width = self.source.hybrid_width
        top = len(fraction)

        def window(n: int) -> Value:
            """Return the leading bits below n kept ones."""
            return Cat(fraction, 1)[top - n - width : top - n]

        discarded = Signal(width)
        threshold = raw[:width] if self.source is f.FP32 else Cat(1, raw[0])
        chosen = {2: ulp[1], 1: ulp[2], 0: ulp[3] & ~tiny, -1: tiny}
        m.d.comb += discarded.eq(
            Cat(
                Cat(window(n)[bit] & select for n, select in chosen.items()).any()
                for bit in range(width)
            )
        )
        compared = discarded >= threshold
        return compared & discarded.any() if self.keep_exact else compared

    def _pack(self, m: Module, cut: Values) -> Value:
        """Round, and put the code together."""
        width = len(cut["base"]) - 3
        rounded = Signal(data.StructLayout({"mantissa": 3, "exponent": width}))
        step = Cat(
            cut["ulp"][:3] & cut["up"].replicate(3), cut["from_one"] | cut["ulp"][3] & cut["up"]
        )
        m.d.comb += rounded.eq(cut["base"] + step)

        # The largest dot field whose hidden leading one the magnitude has.
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
            digits = field.exponent_width
            with m.Elif(magnitude[digits - 1]) if digits else m.Else():
                m.d.comb += body.eq(
                    Cat(
                        rounded.mantissa[3 - field.mantissa_width :],
                        magnitude[: max(digits - 1, 0)],
                        negative if digits else Const(0, 0),
                        Const(field.prefix, field.prefix_width),
                    )
                )

        # Special values, saturation last.
        infinite = Signal()
        sign = Signal()
        finished = Signal(7)
        m.d.comb += [
            infinite.eq(cut["huge"] | magnitude[4] & ~negative | (body == f.INF)),
            sign.eq(Mux(cut["nan"], ~cut["nan_to_zero"], cut["sign"] & ~cut["zero"])),
        ]
        with m.If(cut["zero"]):
            m.d.comb += finished.eq(f.ZERO)
        with m.Elif(infinite):
            m.d.comb += finished.eq(Cat(~cut["saturate"], Const(f.INF >> 1, 6)))
        with m.Else():
            m.d.comb += finished.eq(body)
        return Cat(finished, sign)
