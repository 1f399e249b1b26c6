# SPDX-License-Identifier: Apache-2.0
"""What HiF8 does to learning: training and inference in 8 bits, emulated in PyTorch.

Imports `golden`, for the tables of the casts, and torch, which is an extra; of the project nothing
but `analysis.workloads` and the command line imports this. Values stay FP32 and are rounded to what
a format has where they enter a matrix product, so that any model, device and optimizer will do.
"""
