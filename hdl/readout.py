# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A sum to a word: scaled by a power of two, rounded once, to FP32 or to HiF8.

Imports `golden.format`, `hdl.accumulator`, `hdl.decoder`, `hdl.encoder`, `hdl.layouts`,
`hdl.shifts` and `hdl.unit`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ..golden import format as f
from .accumulator import choose
from .decoder import HIF8
from .encoder import Encoder
from .layouts import Operand, Port, float_layout, word_port
from .shifts import normalise
from .unit import Combinational, Stage, Values

SCALE = Port(In(signed(6)), "two's complement s, -32 to 31: the sum times 2^s is read out")
OUTPUTS = ("fp32", "hif8")


class Readout(Combinational):
    """Read an accumulator out, times a power of two: as FP32, or as HiF8.

    FP32 is rounded once, to nearest even. HiF8 is rounded once from the exact sum under TA, ties
    away from zero; under HR it goes through FP32 (nearest even), on whose low bits HR is defined.
    A zero sum is +0, NaN is 0x7FC00000 or 0x80.

    An exact sum times its scale is never subnormal and never overflows in FP32. An FP32 sum must be
    such that this holds as well, as every sum does that began with zero.

    Latency: 0 cycles, combinational; `Streamed` makes pipelines of it.

    Parameters
    ----------
    accumulator : str
        ``exact`` or ``fp32``: whose sum it is.
    output : str
        ``fp32`` or ``hif8``.
    max_products : int, optional
        As of the accumulator.
    operand : Operand
        As of the accumulator.

    Members
    -------
    sum, and for an exact one nan, plus_inf, minus_inf : In
        The state of the accumulator.
    scale : In(signed(6))
        The exponent s of the scale.
    hybrid, saturate, nan_to_zero : In(1)
        As of `Encoder`; for HiF8 alone.
    x : Out(32)
        FP32 word; or
    code : Out(8)
        HiF8 code.
    """

    def __init__(
        self,
        *,
        accumulator: str,
        output: str,
        max_products: int | None = None,
        operand: Operand = HIF8,
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
        total = choose(accumulator, operand=operand, lanes=1, max_products=max_products)
        self.exact = accumulator == "exact"
        self.operand = operand
        self.max_products = total.max_products
        self.encoder = Encoder(source=f.FP32, hybrid=True) if output == "hif8" else None
        state = {
            name: port._replace(member=In(port.member.shape)) for name, port in total.state.items()
        }
        self.options = {"scale": SCALE}
        outputs = {"x": word_port(f.FP32, Out)}
        if self.encoder:
            self.options |= {n: port for n, port in self.encoder.inputs.items() if n != "x"}
            outputs = self.encoder.outputs
        self.stages = self.exact + (self.encoder.stages if self.encoder else 1)
        super().__init__(state | self.options, outputs)

    def logic(self, m: Module, inputs: Values, stage: Stage) -> Values:
        """Build the read-out: normalise, scale, round to FP32; and encode."""
        if self.exact:
            cut = stage(self._normalised(m, inputs))
            word = self._word(m, cut)
        else:
            cut = inputs
            word = _scaled(m, inputs)
        if not self.encoder:
            return stage({"x": word})
        options = {name: cut[name] for name in self.encoder.inputs if name != "x"}
        return self.encoder.logic(m, {"x": word, **options}, stage)

    def _normalised(self, m: Module, inputs: Values) -> Values:
        """Return sign, biased exponent, and the leading bits of the magnitude, the rest as one."""
        total = inputs["sum"]
        negative = total[-1]
        magnitude = Signal(len(total), name="magnitude")
        m.d.comb += magnitude.eq((total ^ negative.replicate(len(total))) + negative)
        normal, zeros = normalise(m, magnitude, "magnitude")
        exponent = Signal(f.FP32.exponent_width, name="scaled_exponent")
        top = self.operand.product_unit + len(total) - 1 + f.FP32.bias
        m.d.comb += exponent.eq(Const(top, 9) - zeros + inputs["scale"])
        options = {name: inputs[name] for name in self.options if name != "scale"}
        flags = {name: inputs[name] for name in ("nan", "plus_inf", "minus_inf")}
        head = Cat(normal[:-25].any(), normal[-25:])
        return {"sign": negative, "exponent": exponent, "head": head, **flags, **options}

    def _word(self, m: Module, cut: Values) -> Value:
        """Return the FP32 word: rounded, or cut off for TA, which needs 13 leading bits alone."""
        head = cut["head"]
        rest, guard, fraction, something = head[0], head[1], head[2:-1], head[-1]
        up = guard & (fraction[0] | rest)
        if self.encoder:
            up &= cut["hybrid"]
        magnitude = Signal(31, name="rounded")
        word = Signal(32, name="word")
        m.d.comb += magnitude.eq(Cat(fraction, cut["exponent"]) + up)
        with m.If(cut["nan"]):
            m.d.comb += word.eq(f.FP32.nan_bits)
        with m.Elif(cut["plus_inf"] | cut["minus_inf"]):
            m.d.comb += word.eq(Cat(Const(f.FP32.inf_bits, 31), cut["minus_inf"]))
        with m.Elif(something):
            m.d.comb += word.eq(Cat(magnitude, cut["sign"]))
        return word


def _scaled(m: Module, inputs: Values) -> Value:
    """Return an FP32 word with its scale added to the exponent; zero and specials as they are."""
    x = data.View(float_layout(f.FP32), inputs["sum"])
    exponent = Signal(f.FP32.exponent_width, name="scaled_exponent")
    finite = x.exponent.any() & ~x.exponent.all()
    m.d.comb += exponent.eq(Mux(finite, x.exponent + inputs["scale"], x.exponent))
    return Cat(x.fraction, exponent, x.sign)
