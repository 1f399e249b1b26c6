# SPDX-License-Identifier: Apache-2.0
"""The README's training of a model runs as it stands there."""

import re

from conftest import ROOT
from hif8.golden.gemms import load


def test_the_training_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    [snippet] = [
        part for part in re.findall(r"(?ms)^```python\n(.*?)^```$", text) if "torch" in part
    ]
    exec(compile(snippet, "README.md", "exec"), {})
    found = [(gemm.name, gemm.direction) for gemm in load(tmp_path / "gemms.npz")]
    assert found == [("0", "forward"), ("0", "backward")]
