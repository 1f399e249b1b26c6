# SPDX-License-Identifier: Apache-2.0
"""What is true: the NumPy model that every other room is checked against.

Imports NumPy and ml_dtypes, and no other room.
"""
