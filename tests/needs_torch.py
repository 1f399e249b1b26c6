# SPDX-License-Identifier: Apache-2.0
"""Tests of some folders need torch, an extra: without it none of their modules is imported.

The conftest of such a folder imports `pytest_pycollect_makemodule`.
"""

from importlib.util import find_spec

import pytest
from conftest import skip_if


class NeedsTorch(pytest.Module):
    """A module of tests that is skipped, with the reason, where torch is missing."""

    def collect(self):
        skip_if(None if find_spec("torch") else "torch is not installed: make training")
        import torch

        torch.set_num_threads(1)
        return super().collect()


def pytest_pycollect_makemodule(module_path, parent):
    module = NeedsTorch.from_parent(parent, path=module_path)
    module.add_marker("torch")
    return module
