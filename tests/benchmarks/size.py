"""Converts a model of 3 GB of weights, past protobuf's 2 GB, onto a hand-written module, and prints the peak of memory.

    python tests/benchmarks/size.py [--gigabytes 3]

The peak is ``ru_maxrss`` of this process: Python, TensorFlow, torch, the Keras model, the user's module, everything.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import torch
import torchgraft
from keras import layers
from keras_models import inputs_for
from torch import nn

WIDTH = 4096
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


def tower(blocks: int) -> keras.Model:
    x = given = keras.Input((WIDTH,), name="features")
    for _ in range(blocks):
        y = layers.Dense(WIDTH)(layers.Dense(WIDTH, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    model = keras.Model(given, layers.Dense(10)(x))
    generator = np.random.default_rng(0)
    for variable in model.weights:
        spread = 1 / np.sqrt(WIDTH) if len(variable.shape) > 1 else 0.3
        variable.assign(generator.standard_normal(variable.shape, dtype="float32") * np.float32(spread))
    return model


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
    parser.add_argument("--gigabytes", type=float, default=3.0)
    blocks = math.ceil(parser.parse_args().gigabytes * 1e9 / (2 * 4 * WIDTH * WIDTH))
    model, module = tower(blocks), Tower(blocks)
    weights = sum(4 * int(np.prod(variable.shape)) for variable in model.weights)
    print(f"{blocks} blocks, {weights / 1e9:.2f} GB of weights; before: peak {peak() / 1e9:.2f} GB", flush=True)
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
