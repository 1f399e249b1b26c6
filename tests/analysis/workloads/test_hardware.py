# SPDX-License-Identifier: Apache-2.0
"""What a workload multiplies in training, the hardware multiplies to the same bits."""

from conftest import need
from hif8.analysis.training.capture import capture_gemms
from hif8.analysis.workloads.harness import Trainer, runs
from hif8.golden.gemms import load, save
from hif8.hdl.configs import UNITS
from hif8.sim import gemms, verify


def test_gradients_of_a_workload_run_through_the_mac_bit_by_bit(builds, tmp_path):
    need("verilator")
    kind = runs.system("acmix")
    workload = kind(Trainer(1, "hif8_ta", "recipe", loss_scale=kind.loss_scale, quick=True))
    path = tmp_path / "gemms.npz"
    with capture_gemms(workload.model, path):
        workload.step(0)
    backward = [gemm for gemm in load(path) if gemm.direction == "backward"]
    assert {gemm.name for gemm in backward} > {"stem", "first.q", "first.scores", "second.shifts"}
    assert any(gemm.a.any() and gemm.b.any() for gemm in backward)
    unit = UNITS["mac_exact"]
    chosen = gemms.read(save(path, backward), unit, seed=1)
    assert chosen.gemms == {"forward": 0, "backward": len(backward)}
    assert chosen.products > 10**5
    verdict, outputs = verify.run(
        unit, "verilator", root=builds, tensors=chosen.tensors, cases=chosen.sums
    )
    assert verdict.status == "pass", verdict.note
    assert verdict.cases == verdict.expected == chosen.sums == len(outputs["sum"])
