"""Random generators of the process: what a user's forward draws from them must not be missed afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def kept_generators() -> Iterator[None]:
    """Torch's (CPU), numpy's and Python's stand afterwards as before."""
    states = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])


def seed_generators(seed: int) -> None:
    """All three of them."""
    for generator in (torch.manual_seed, np.random.seed, random.seed):
        generator(seed)
