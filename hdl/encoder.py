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
    Rounding is a step of one on a scale of six bits, whatever the binade. A code without its sign
    and the sign of its exponent has six bits: its head, dot field and magnitude of the exponent,
    then its mantissa. Where E >= 0 these count up with the value, through all binades; where E < 0
    they do so with an inverted head, up to E = -1, whose next is E = 0, and from the denormals on,
    whose last has the next 0. So `rank` is put on that scale before it is rounded, and takes the
    shape of a code after. The biased exponent needs no adder for it: below zero its low bits are
    |E| inverted, from zero on they are E - 1.

    F >= T is decided on both sides of the cut: before it each two bits become a digit that is more
    or less, after it those are compared, below a first one that is more or less where HR does not
    decide. What follows a long comparison is but a choice between two codes.

    Of a subnormal of FP16 no more is shifted than what rounding looks at: HiF8 keeps one bit of it,
    or none.
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
        """Build the encoder: unpack, put on the scale, decide; then round and pack."""
        x = data.View(float_layout(self.source), inputs["x"])
        exponent, fraction = self._normalise(m, x)
        low, middle, high = exponent[:5], exponent[5:-1], exponent[-1]

        # E or, where it is negative, E - 1; either way the magnitude takes no more than inversions.
        negative = Signal()
        number = Signal(5)
        magnitude = Signal(5)
        denormal = Signal()
        m.d.comb += [
            negative.eq(~high & ~low.all()),
            number.eq(stepped(low, ~negative)),
            magnitude.eq(number ^ negative.replicate(5)),
            denormal.eq(~high & ~low[4]),
        ]

        # Out of range, and at its upper end. What follows does not care what E is out of range.
        zero = Signal()
        huge = Signal()
        last = Signal()
        nan = Signal()
        m.d.comb += [
            zero.eq(~high & ~(low[3:].any() & ones(middle))),
            huge.eq(high & (middle.any() | low[4] | low[:4].all())),
            last.eq(high & number[:4].all() | huge),
            nan.eq(x.exponent.all() & x.fraction.any()),
        ]

        rank = Signal(6)
        of_denormal = Cat(number[:3], Const(7, 3))
        of_large = Cat(fraction[-1:], number[:3], ~negative, ~negative)
        of_middle = Cat(fraction[-2:], number[:2], negative, ~negative)
        of_near = Cat(fraction[-3:], number[:2], negative)
        beside = Mux(magnitude[3], of_large, Mux(magnitude[2], of_middle, of_near))
        m.d.comb += rank.eq(Mux(denormal, of_denormal, beside))

        near = Signal()
        tiny = Signal()
        m.d.comb += [
            near.eq(~magnitude[2:].any()),
            tiny.eq(denormal & magnitude[:3].all()),
        ]
        discarded = self._discarded(m, fraction, denormal, Mux(denormal, tiny, magnitude[3]))

        above = last & (huge | fraction[-2:].any())
        capped = last & inputs["saturate"]
        away = Signal()
        stays = Signal()
        m.d.comb += [
            away.eq(Mux(near, fraction[-4], discarded[-1])),
            stays.eq(above | capped),
        ]
        more, less = away & ~stays, ~away | stays
        if self.has_hybrid:
            compares = inputs["hybrid"] & ~near
            raw = x.fraction
            threshold = raw[: len(discarded)] if self.source is f.FP32 else Cat(1, raw[0])
            exact = ~discarded.any() if self.keep_exact else 0
            first = more & ~compares, Mux(compares, stays | exact, less)
            more, less = (
                Cat(*pair) for pair in zip(digits(discarded, threshold), first, strict=True)
            )
        cut = stage(
            {
                "rank": Cat((rank[0] | above) & ~capped, rank[1:] | huge.replicate(5)),
                "more": more,
                "less": less,
                "negative": negative,
                "denormal": denormal,
                "tiny": tiny,
                "zero": zero | nan,
                "nan": nan,
                "sign": x.sign,
                "nan_to_zero": inputs["nan_to_zero"],
            }
        )
        return stage({"code": self._pack(m, cut)})

    def _normalise(self, m: Module, x: data.View) -> tuple[Value, Value]:
        """Return exponent and fraction of a normal number in a format of the same bias pattern.

        Formats with the exponent range of FP32 pass as they are: their subnormals are far below
        HiF8's smallest value. FP16's count: its exponent gets a bit and the bias 31, and what leads
        a subnormal's fraction becomes the hidden bit. The first binade is one place away; in those
        below, at most two bits after the leading one are looked at, so only those are shifted.
        """
        if self.source is not f.FP16:
            return x.exponent, x.fraction
        top, width = x.exponent[-1], len(x.fraction)
        subnormal = Signal()
        below = Signal()
        m.d.comb += [
            subnormal.eq(~x.exponent.any()),
            below.eq(~Cat(x.fraction[-1], x.exponent).any()),
        ]
        # The eight binades from 2^-16 down to 2^-23 have the new exponent fields 15 to 8.
        window = Cat(0, x.fraction[:-1])
        digits: list[Value] = []
        for distance in (4, 2, 1):
            near, far = window[-distance - 2 :], window[-2 * distance - 2 : -distance]
            leads = Signal(name=f"leads_{distance}")
            window = Signal(distance + 2, name=f"window_{distance}")
            m.d.comb += [
                leads.eq(near[2:].any()),
                window.eq(Mux(leads, near, far)),
            ]
            digits.insert(0, leads)
        low = Cat(digits, window[2]) & below.replicate(4)
        shifted = Cat(x.fraction[-4], Mux(below, window[:2], x.fraction[-3:-1]))
        exponent = Signal(6)
        fraction = Signal(width)
        m.d.comb += [
            exponent.eq(Cat(x.exponent[:-1] | low, ~top & ~below, top)),
            fraction.eq(Mux(subnormal, Cat(Const(0, width - 3), shifted), x.fraction)),
        ]
        return exponent, fraction

    def _discarded(self, m: Module, fraction: Value, denormal: Value, more: Value) -> Value:
        """Return F of hybrid rounding where |E| >= 4; its first bit is what TA asks for.

        One to four bits come before: two more where the result is a denormal, another with `more`.
        """
        width = self.source.hybrid_width
        coarse = Signal(width + 1)
        discarded = Signal(width)
        line = Cat(fraction, 1)[-width - 3 :]
        m.d.comb += [
            coarse.eq(Mux(denormal, line[2:], line[:-2])),
            discarded.eq(Mux(more, coarse[1:], coarse[:-1])),
        ]
        return discarded

    def _pack(self, m: Module, cut: Values) -> Value:
        """Round, and put the code together."""
        up = Signal()
        body = Signal(7)
        m.d.comb += up.eq(cut["more"] >= cut["less"])

        def shaped(rank: Value) -> Value:
            """Return the code of a rank, without its sign."""
            negative = cut["negative"]
            head = rank[3:] ^ negative.replicate(3)
            small = ~head[1:].any()
            return Cat(
                rank[0],
                rank[1] ^ (negative & ~rank[5] & ~rank[4]),
                rank[2] ^ (negative & ~rank[5]),
                Mux(small, Mux(negative, ~cut["denormal"], ~head[0]), head[0]),
                Mux(small, head[0], negative),
                head[1:],
            )

        rank = cut["rank"]
        if len(cut["more"]) > 2:  # it takes so long to compare that both codes may be ready before
            m.d.comb += body.eq(Mux(up, shaped(stepped(rank, Const(1))), shaped(rank)))
        else:
            m.d.comb += body.eq(shaped(stepped(rank, up)))

        sign = Mux(cut["nan"], ~cut["nan_to_zero"], cut["sign"] & ~cut["zero"])
        return Cat(Mux(cut["zero"], Const(f.ZERO, 7), body), sign & (up | ~cut["tiny"]))


def ones(value: Value) -> Value:
    """Return whether all bits are set, if there are any."""
    return value.all() if len(value) else Const(1)


def stepped(value: Value, step: Value) -> Value:
    """Return a value plus one bit."""
    return value ^ Cat(step, *(step & value[:i].all() for i in range(1, len(value))))


def digits(a: Value, b: Value) -> tuple[Value, Value]:
    """Return, of every two bits, whether those of a are more and whether they are less."""

    def more(a: Value, b: Value) -> Value:
        high, low = slice(1, None, 2), slice(0, None, 2)
        return a[high] & ~b[high] | (a[high] | ~b[high]) & a[low] & ~b[low]

    return more(a, b), more(b, a)
