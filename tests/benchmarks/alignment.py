"""How the cost of the alignment grows: a generated residual network of ever more layers, and what the growth is.

    python tests/benchmarks/alignment.py [--layers 100 1000 5000]

Each size in its own process: the seconds of the processor that stage 5 takes (both modules read, probes, pairs, Plan,
confirmation), and the largest resident memory above that before. The exponent is that of the least-squares line through
the logarithms of size and cost.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

WIDTH, BATCH = 8, 3
LAYERS_PER_BLOCK = 4
#: What the growth may be.
EXPONENT = 1.2


class Block(nn.Module):
    """Two parallel branches of one shape behind a normalisation, added to the residual stream."""

    def __init__(self, swapped: bool) -> None:
        super().__init__()
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)
        self.left, self.right, self.swapped = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), swapped

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = self.norm(x)
        if self.swapped:
            right = self.right(read).tanh()
            return x + self.out(self.left(read).relu() * right)
        return x + self.out(self.left(read).relu() * self.right(read).tanh())


def network(layers: int, swapped: bool) -> nn.Module:
    """``layers`` parameterised layers; the module calls its branches in the other order than the reference."""
    return nn.Sequential(*(Block(swapped) for _ in range(layers // LAYERS_PER_BLOCK)))


def measure(layers: int) -> dict[str, float]:
    """One extraction, in this process."""
    import numpy as np
    from torch_pairs import artifacts, randomized
    from torchgraft.stages.base import Silent
    from torchgraft.stages.extract import Extract

    torch.set_num_threads(1)
    before = _resident()
    x = np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype("float32")
    reference, module = randomized(network(layers, False)), network(layers, True)
    made = artifacts(reference, module, {"x": x})
    start = time.process_time()
    extraction = Extract().run(made, Silent())
    whole = time.process_time() - start
    wrong = [key for key, recipe in extraction.plan.recipes.items() if str(recipe) != key.replace(".", "/")]
    assert not wrong, f"{len(wrong)} keys misplaced, first {wrong[0]}"
    return {"seconds": whole, "memory": _resident() - before}


def _resident() -> float:
    """The largest resident memory so far, in bytes (ru_maxrss is in kilobytes on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def exponent(sizes: list[int], costs: list[float]) -> float:
    """The slope of the least-squares line through (log size, log cost)."""
    xs, ys = [math.log(size) for size in sizes], [math.log(max(cost, 1e-9)) for cost in costs]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return covariance / sum((x - middle_x) ** 2 for x in xs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    print(f"{'layers':>8} {'seconds':>10} {'memory MB':>10}")
    for layers in options.layers:
        command = [sys.executable, __file__, "--one", str(layers)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        row = rows[-1]
        print(f"{layers:>8} {row['seconds']:>10.2f} {row['memory'] / 2**20:>10.0f}")
    for name in ("seconds", "memory"):
        found = exponent(options.layers, [row[name] for row in rows])
        print(f"exponent of {name}: {found:.2f} (at most {EXPONENT})")


if __name__ == "__main__":
    main()
