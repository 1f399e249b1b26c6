# SPDX-License-Identifier: Apache-2.0
"""A simulator ends with the process that asked for it, however that ended."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from conftest import need
from tasks import alive, wait_until

PROGRAM = """
import sys
from pathlib import Path
from hif8.toolchain.simulators import start

folder = Path(sys.argv[1])
(folder / "long.v").write_text(
    "module long; initial begin #1 forever #1; end endmodule"
)
(folder / "endless.py").write_text(
    "import cocotb\\n"
    "from cocotb.triggers import Timer\\n"
    "@cocotb.test()\\n"
    "async def waits(dut):\\n"
    "    open('running', 'w').close()\\n"
    "    while True:\\n"
    "        await Timer(1, 'ms')\\n"
)
how = {"build": folder, "top": "long"}
assert start("icarus", sources=[folder / "long.v"], **how).wait() == 0
child = start("icarus", bench="endless", variables={"PYTHONPATH": str(folder)}, **how)
print(child.pid, flush=True)
child.wait()
"""


def members(group: int) -> list[int]:
    """Return the processes of a group."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = []
    for pid in filter(alive, pids):
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == group:
                found.append(pid)
    return found


def test_a_simulator_ends_with_the_process_that_asked_for_it(tmp_path):
    need("icarus")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        group = int(asking.stdout.readline())
        wait_until((tmp_path / "running").exists)
        assert len(members(group)) >= 2  # the runner, and the simulator that it started
        asking.kill()
    wait_until(lambda: not members(group))
