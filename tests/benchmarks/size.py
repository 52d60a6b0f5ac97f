"""Converts a model of 3 GB of weights, past protobuf's 2, onto a hand-written module, and prints the peak of memory.

    python tests/benchmarks/size.py [--gibibytes 2.8]

The peak is ``ru_maxrss`` of this process: Python, TensorFlow, torch, the Keras model, the user's module, everything.
What the libraries alone take is printed beside it. The weights end up in the module, by ``Conversion.load_into``.
TensorFlow is set as in a job of the command line (without oneDNN), unless the environment says otherwise.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from torchgraft.pipeline.worker_process import PREFERRED

os.environ.update({**PREFERRED, "CUDA_VISIBLE_DEVICES": "", **os.environ})
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import torch
import torchgraft
from keras import layers
from keras_models import inputs_for
from torch import nn

WIDTH = 4128
LIMIT = 2.5


class Tower(nn.Module):
    """Blocks of two linear layers, each around a shortcut, written as anybody would."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)) for _ in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, eps=1e-3) for _ in range(blocks))
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(x + block(x))
        return self.head(x)


class Drawn(keras.initializers.Initializer):
    """Random numbers, drawn by numpy: TensorFlow would keep what drawing takes, several kernels more, for good."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        numbers = self._generator.standard_normal(shape, dtype="float32")
        numbers *= np.float32(1 / np.sqrt(WIDTH) if len(shape) > 1 else 0.3)
        return keras.ops.convert_to_tensor(numbers, dtype)


def tower(blocks: int) -> keras.Model:
    drawn = Drawn()
    dense = {"kernel_initializer": drawn, "bias_initializer": drawn}
    x = given = keras.Input((WIDTH,), name="features")
    for _ in range(blocks):
        y = layers.Dense(WIDTH, **dense)(layers.Dense(WIDTH, activation="gelu", **dense)(x))
        x = layers.LayerNormalization(gamma_initializer=drawn, beta_initializer=drawn)(layers.Add()([x, y]))
    return keras.Model(given, layers.Dense(10, **dense)(x))


class Peaks:
    """The Progress that prints the peak after each stage."""

    def __init__(self, weights: int) -> None:
        self.weights = weights

    def started(self, stage: str, number: int, total: int) -> None: ...

    def step(self, what: str, done: int | None = None, total: int | None = None) -> None: ...

    def finished(self, stage: str, seconds: float) -> None:
        print(f"  {stage:10} {seconds:7.1f} s   peak {peak() / 1e9:6.2f} GB   {peak() / self.weights:5.2f}", flush=True)


def peak() -> int:
    """Bytes; Linux counts in kibibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gibibytes", type=float, default=3e9 / 2**30)
    blocks = round(parser.parse_args().gibibytes * 2**30 / (2 * 4 * WIDTH * WIDTH))
    libraries = peak()
    model, module = tower(blocks), Tower(blocks)
    weights = sum(4 * int(np.prod(variable.shape)) for variable in model.weights)
    print(f"{blocks} blocks, {weights / 1e9:.2f} GB of weights", flush=True)
    print(f"  imported, without models      peak {libraries / 1e9:6.2f} GB", flush=True)
    print(f"  with both models              peak {peak() / 1e9:6.2f} GB   {peak() / weights:5.2f}", flush=True)
    start = time.perf_counter()
    conversion = torchgraft.convert(model, module, inputs=inputs_for(model, 4), progress=Peaks(weights))
    assert conversion.verified, conversion.findings
    conversion.load_into(module)
    ratio = peak() / weights
    print(
        f"{time.perf_counter() - start:.1f} s, peak {peak() / 1e9:.2f} GB, {ratio:.2f} of the weights (at most {LIMIT})"
    )
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
