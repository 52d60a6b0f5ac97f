"""Measures torchgraft against the bare chain, each in its own process, alternating, and prints the ratios.

    python tests/benchmarks/run.py [--repeats 5] [--models ResNet50 MobileNetV2]

Three figures a process: *conversion*, the seconds from the Keras model in memory to the torch module, imports of the
libraries that each side needs included; *process*, its whole wall time; *memory*, its largest resident size
(``ru_maxrss``), everything included. A ratio is the median of torchgraft over the median of the bare chain.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from models import NAMES

HERE = Path(__file__).parent
SIDES = ("ours", "bare")
LIBRARIES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "onnx2torch", "torch")


@dataclass(frozen=True)
class Measured:
    """One process: seconds, seconds, bytes."""

    conversion: float
    process: float
    memory: float


def measure(side: str, name: str) -> Measured:
    """Run one side once."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, str(HERE / f"{side}.py"), name],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        elapsed = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            sys.exit(f"{side} failed on {name} with {child.returncode}:\n{log.read()[-3000:]}")
    seconds = next(float(line.split()[1]) for line in output.splitlines() if line.startswith("seconds "))
    return Measured(seconds, elapsed, usage.ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES)
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(", ".join(f"{library} {version(library)}" for library in LIBRARIES))
    for name in options.models:
        runs: dict[str, list[Measured]] = {side: [] for side in SIDES}
        for _ in range(options.repeats):
            for side in SIDES:
                runs[side].append(measure(side, name))
        show(name, runs)


def show(name: str, runs: dict[str, list[Measured]]) -> None:
    print(f"\n{name}, medians of {len(runs['ours'])}")
    print(f"  {'':12} {'torchgraft':>12} {'bare chain':>12} {'ratio':>8}")
    for field, unit, scale in (("conversion", "s", 1.0), ("process", "s", 1.0), ("memory", "GB", 1e-9)):
        ours, bare = (statistics.median(getattr(run, field) for run in runs[side]) * scale for side in SIDES)
        print(f"  {field:12} {ours:9.2f} {unit:2} {bare:9.2f} {unit:2} {ours / bare:8.2f}", flush=True)


if __name__ == "__main__":
    main()
