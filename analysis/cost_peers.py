# SPDX-License-Identifier: Apache-2.0
"""What other projects' units cost: figures that were measured before this flow was, next to ours.

Imports `analysis.cost`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from .cost import Cost, Row


class Peer(NamedTuple):
    """A unit of another project.

    Attributes
    ----------
    source : str
        Whose unit it is, and what.
    ge, ns : float
        Area in gate equivalents, and delay as ABC sees it: of its Verilog by Yosys on the same
        cells, rounding fixed and flags dropped.
    unit : str
        Ours that does the same.
    """

    source: str
    ge: float
    ns: float
    unit: str


PEERS = (
    Peer("PACoGen, decoder of posit(8)", 63, 1.0, "decoder_posit8"),
    Peer("Berkeley HardFloat, decoder of an IEEE (4,3)", 38, 0.8, "decoder_e4m3"),
    Peer("Berkeley HardFloat, decoder of an IEEE (5,2)", 34, 0.6, "decoder_e5m2"),
    Peer("CVFPU, FP32 to E4M3", 487, 3.8, "encoder_fp32_e4m3"),
    Peer("CVFPU, FP32 to E5M2", 475, 3.7, "encoder_fp32_e5m2"),
    Peer("Berkeley HardFloat, FP32 to (4,3)", 611, 4.7, "encoder_fp32_e4m3"),
    Peer("Berkeley HardFloat, FP32 to (5,2)", 500, 4.1, "encoder_fp32_e5m2"),
    Peer("Berkeley HardFloat, FP8 (4,3) to FP32", 62, 0.8, "to_fp32"),
    Peer("INT8 8x8, plain Verilog", 553, 2.9, "multiplier_int8_plain"),
    Peer("Berkeley HardFloat, (4,3) times (4,3), rounded", 412, 4.1, "multiplier_e4m3"),
    Peer("Berkeley HardFloat, (5,2) times (5,2), rounded", 350, 3.8, "multiplier_e5m2"),
    Peer("PACoGen, the largest posit(8) multiplier, rounded", 769, 6.7, "multiplier_posit8"),
    Peer("exact product of either FP8 format", 234, 2.0, "multiplier_fp8"),
    Peer("INT8 MAC of 32 bits, plain Verilog", 1693, 5.0, "mac_int8_plain"),
    Peer("Berkeley HardFloat, FP8 times FP8 into FP32", 2590, 10.2, "mac_fp32_e4m3"),
    Peer("CVFPU, expanding FMA from E4M3 to FP32", 4337, 16.2, "mac_fp32_e4m3"),
)
"""In the order of blocks."""

CLOSE = 0.1
"""How far apart the same circuit may be, measured twice, before it has to be explained."""


def compared(cost: Cost) -> Iterator[tuple[Peer, Row]]:
    """Yield the peers whose like was measured, with that."""
    for peer in PEERS:
        if peer.unit in cost.by_name:
            yield peer, cost.by_name[peer.unit]
