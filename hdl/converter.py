# SPDX-License-Identifier: Apache-2.0
"""HiF8 code to IEEE value, exactly.

Imports `golden.format`, `hdl.decoder` and `hdl.layouts`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out, PureInterface

from ..golden import format as f
from .decoder import decode
from .layouts import code_port, float_layout, word_port
from .unit import Combinational, Stage, Values


class ToFloat(Combinational):
    """Convert an HiF8 code to an IEEE word; nothing is rounded.

    NaN gives the positive quiet NaN, infinities keep their sign, zero is +0. All HiF8 values are
    normal numbers of FP32 and BF16; those below 2^-14 are subnormals of FP16, and none is flushed.

    Latency: 0 cycles, combinational; `Streamed` makes pipelines of it.

    Parameters
    ----------
    target : FloatFormat
        Layout of the output word: FP32, FP16 or BF16.

    Members
    -------
    code : In(8)
        HiF8 code.
    x : Out(target.width)
        IEEE word.
    """

    stages = 2

    def __init__(self, *, target: f.FloatFormat) -> None:
        if target not in (f.FP32, f.FP16, f.BF16):
            raise ValueError(f"target must be FP32, FP16 or BF16, not {target.name!r}")
        self.target = target
        super().__init__({"code": code_port(In)}, {"x": word_port(target, Out)})

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the converter: decode, rebias, pack."""
        value = decode(m, inputs["code"], "value")
        exponent, mantissa = self._finite(m, value)
        special = value.inf | value.nan
        cut = stage(
            {
                "sign": value.sign & ~value.nan,
                "exponent": Mux(special, ~Const(0, len(exponent)), exponent),
                # The slot of the infinities has a mantissa, that of NaN has none; IEEE the other
                # way round.
                "mantissa": Cat(mantissa[:-1], mantissa[-1] & ~value.inf | value.nan),
            }
        )
        x = Signal(float_layout(self.target))
        below = Const(0, self.target.fraction_width - len(cut["mantissa"]))
        m.d.comb += [
            x.sign.eq(cut["sign"]),
            x.exponent.eq(cut["exponent"]),
            x.fraction.eq(Cat(below, cut["mantissa"])),
        ]
        return stage({"x": x.as_value()})

    def _finite(self, m: Module, value: PureInterface) -> tuple[Value, Value]:
        """Return the exponent field and the leading fraction bits of a finite value."""
        biased = Signal(self.target.exponent_width)
        m.d.comb += biased.eq(value.exponent + self.target.bias)
        hidden, mantissa = value.significand[-1], value.significand[:-1]
        if self.target is not f.FP16:
            return Mux(hidden, biased, 0), mantissa

        # Subnormal from E = -15, where the hidden bit leads the fraction, down to -22: by then the
        # biased exponent has gone from 0 to -7, and that is how far it has moved right.
        subnormal = Signal()
        fraction = Signal(self.target.fraction_width)
        places = Signal(3)
        m.d.comb += [
            subnormal.eq(value.exponent <= -self.target.bias),
            places.eq(-biased[:3]),
        ]
        width = self.target.fraction_width
        with m.If(subnormal):
            moved = Cat(Const(0, width - 2), value.significand[-2:]) >> places
            m.d.comb += fraction.eq(moved)
        with m.Else():
            m.d.comb += fraction.eq(Cat(Const(0, width - len(mantissa)), mantissa))
        return Mux(subnormal, 0, biased), fraction
