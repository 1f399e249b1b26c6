# SPDX-License-Identifier: Apache-2.0
"""How deep tests go: in `make test` less than in `make soak`, which sets HIF8_DEEP."""

import os
from typing import Any, NamedTuple

DEEP = bool(os.environ.get("HIF8_DEEP"))


class Depth(NamedTuple):
    """How much a test checks in a soak, and how much else."""

    full: Any
    reduced: Any


DEPTHS = {
    "figures that are not computed twice": Depth((), ("accumulation", "ptq", "rounding")),
    "figures of which the PNG, too, is drawn twice": Depth(None, ("precision",)),
    "figures that are drawn for a gallery": Depth(None, ("mac_timing", "mac_blocks")),
    "rows and columns of the matrices that are timed": Depth(512, 64),
    "formats in which every workload is trained": Depth(None, ("fp32", "hif8_ta", "hif8_hr")),
    "formats in which every workload is trained twice": Depth(None, ("hif8_ta",)),
    "faults that no solver is asked about": Depth({}, {"mac_exact_fast": {8}}),
    "words of a range of a sweep that is killed": Depth(1 << 24, 1 << 22),
}
"""By what it is of; None stands for all. A word's own sweep over all 2^32 is `hif8 soak`'s."""


def depth(name: str) -> Any:
    """Return how deep the tests of this run go."""
    chosen = DEPTHS[name]
    return chosen.full if DEEP else chosen.reduced
