# SPDX-License-Identifier: Apache-2.0
"""Dot products, several elements a beat.

Imports `hdl.mac`.
"""

from .mac import SumOfProducts

LANES = range(2, 33)


class DotProduct(SumOfProducts):
    """Add up the products of two vectors, 2 to 32 elements a beat.

    With the FP32 accumulator the products of a beat are added exactly and rounded once, together
    with the accumulator: fewer roundings than one a product. A vector whose length is no multiple
    of `lanes` is padded with zero codes.

    Latency: `latency` cycles from the last beat of a vector to its sum, initiation interval 1.
    Largest K: `max_products` products a vector for an exact sum, any number for an FP32 one; zero
    codes add nothing.

    All else as for `SumOfProducts`.
    """

    def __init__(self, *, lanes: int, accumulator: str, **how: object) -> None:
        if lanes not in LANES:
            raise ValueError(f"lanes must be in {LANES[0]}..{LANES[-1]}, not {lanes!r}")
        super().__init__(lanes=lanes, accumulator=accumulator, **how)
