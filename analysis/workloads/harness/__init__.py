# SPDX-License-Identifier: Apache-2.0
"""What runs workloads: their interface, training in a format, results by file, the table.

Imports `analysis.training`. It knows no workload by name.
"""

from . import data, rules
from .interface import Kept, Metric, Outcome, Workload
from .trainer import Trainer, cosine, one_cycle

__all__ = [
    "Kept",
    "Metric",
    "Outcome",
    "Trainer",
    "Workload",
    "cosine",
    "data",
    "one_cycle",
    "rules",
]
