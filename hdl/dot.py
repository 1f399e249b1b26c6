# SPDX-License-Identifier: Apache-2.0
"""Dot products, several elements a beat."""

from functools import cached_property

from amaranth.hdl import Module, Value

from .mac import Fields, SumOfProducts
from .multiplier import multiply
from .parts import Part, packed
from .unit import Values

LANES = range(2, 33)


class DotProduct(SumOfProducts):
    """Add up the products of two vectors, 2 to 32 elements a beat.

    With the FP32 accumulator the products of a beat are added exactly and rounded once, together
    with the accumulator: fewer roundings than one a product. A vector whose length is no multiple
    of `lanes` is padded with zero codes. The decoder and the multiplier of a lane are parts.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: `max_products` products a vector for an exact sum, any number for an FP32 one; zero
    codes add nothing.

    All else as for `SumOfProducts`.
    """

    def __init__(self, *, lanes: int, accumulator: str, **how: object) -> None:
        if lanes not in LANES:
            raise ValueError(f"lanes must be in {LANES[0]}..{LANES[-1]}, not {lanes!r}")
        super().__init__(lanes=lanes, accumulator=accumulator, **how)

    # Their outputs are apart, because a simulator would take bits of one vector, some of which
    # depend on others, for a loop.

    @cached_property
    def _decoder(self) -> Part:
        """What decodes a code."""
        fields = dict(self.operand.unpacked.members)

        def logic(m: Module, pins: Values) -> Values:
            decoded = self.operand.decode(m, pins["code"], "decoded")
            return {name: getattr(decoded, name) for name in fields}

        summary = f"{self.operand.title} code to sign, exponent, significand and flags"
        return Part("decoder", summary, {"code": self.operand.width}, fields, logic)

    @cached_property
    def _multiplier(self) -> Part:
        """What multiplies two decoded codes."""
        factor = self.operand.unpacked
        fields = {name: port.member.shape for name, port in self.operand.product().items()}

        def logic(m: Module, pins: Values) -> Values:
            product = multiply(m, pins["a"], pins["b"], self.operand, "product")
            return {name: getattr(product, name) for name in fields}

        summary = "exact product of two decoded values"
        return Part("multiplier", summary, {"a": factor, "b": factor}, fields, logic)

    def decode(self, m: Module, code: Value, name: str) -> Fields:
        """Decode an operand, in a part."""
        return Fields(self._decoder.place(m, name, {"code": code}))

    def multiply(self, m: Module, a: object, b: object, name: str) -> Fields:
        """Multiply two decoded operands, in a part."""
        pins = {key: packed(value, self.operand.unpacked) for key, value in (("a", a), ("b", b))}
        return Fields(self._multiplier.place(m, name, pins))
