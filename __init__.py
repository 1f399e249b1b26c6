# SPDX-License-Identifier: Apache-2.0
"""HiFloat8 (HiF8) in open hardware: the golden model's public face.

Imports `golden` alone: no Amaranth, cocotb or matplotlib comes with ``import hif8``.
"""

from .golden.accumulate import ExactSum, accumulate, exact_sum, readout
from .golden.arithmetic import Product, multiply, multiply_fields, product_values
from .golden.decode import Unpacked, decode, unpack
from .golden.describe import Description, describe, finfo
from .golden.encode import encode, quantize
from .golden.matmul import dot, matmul
from .golden.rounding import Rounding

__all__ = [
    "Description",
    "ExactSum",
    "Product",
    "Rounding",
    "Unpacked",
    "accumulate",
    "decode",
    "describe",
    "dot",
    "encode",
    "exact_sum",
    "finfo",
    "matmul",
    "multiply",
    "multiply_fields",
    "product_values",
    "quantize",
    "readout",
    "unpack",
]
__version__ = "0.1.0"
