# SPDX-License-Identifier: Apache-2.0
"""All tests of this folder need torch."""

from needs_torch import pytest_pycollect_makemodule

__all__ = ["pytest_pycollect_makemodule"]
