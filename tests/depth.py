# SPDX-License-Identifier: Apache-2.0
"""How deep tests go: in `make test` less than in `make soak`, which sets HIF8_DEEP."""

import os
from typing import Any, NamedTuple

DEEP = bool(os.environ.get("HIF8_DEEP"))


class Depth(NamedTuple):
    """How much a test checks in a soak, and how much else."""

    full: Any
    reduced: Any


_FAULTY = (
    *("decoder", "encoder_fp32", "encoder_fp16_ta", "to_bf16", "multiplier", "readout_hif8"),
    *("encoder_fp32_s2", "to_fp16_s1", "mac_exact", "mac_fp32", "mac_fp32_i3", "dot4_fp32"),
)
_SIMULATED = (
    *("decoder", "encoder_fp32", "to_fp16", "multiplier", "readout_fp32", "encoder_fp32_s2"),
    *("mac_exact", "mac_fp32", "dot4_exact"),
)
_PROVED = ("dot4_exact", "dot32_exact", "matrix8x8_exact_to_fp32")
_LARGEST = ("hif8_matrix32x32_exact_to_fp32",)
_COLUMNS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))

DEPTHS = {
    "figures that are not computed twice": Depth((), ("accumulation", "ptq", "rounding")),
    "figures of which the PNG, too, is drawn twice": Depth(None, ("precision",)),
    "figures that are drawn for a gallery": Depth(None, ("mac_timing", "mac_blocks")),
    "rows and columns of the matrices that are timed": Depth(512, 64),
    "formats in which every workload is trained": Depth(None, ("fp32", "hif8_ta", "hif8_hr")),
    "formats in which every workload is trained twice": Depth(None, ("hif8_ta",)),
    "faults that no solver is asked about": Depth({}, {"mac_exact_fast": {8}}),
    "units that get faults": Depth(None, _FAULTY),
    "netlists that are simulated": Depth(None, _SIMULATED),
    "large netlists that are proved to be their RTL": Depth(None, _PROVED),
    "lanes of dot products that no unit has": Depth((2, 3, 8), (2, 3)),
    "formats that the multiplier is run in for all pairs": Depth(None, ("E4M3", "E5M2")),
    "columns of the release's vectors in which bits are flipped": Depth(_COLUMNS, _COLUMNS[:1]),
    "modules that Verilator does not elaborate again": Depth((), _LARGEST),
    "words of a range of a sweep that is killed": Depth(1 << 24, 1 << 22),
}
"""By what it is of; None stands for all. A word's own sweep over all 2^32 is `hif8 soak`'s."""


def depth(name: str) -> Any:
    """Return how deep the tests of this run go."""
    chosen = DEPTHS[name]
    return chosen.full if DEEP else chosen.reduced
