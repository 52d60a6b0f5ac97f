"""Every activation that has a name has a function, and the other way round."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torchgraft.stages.fit.activations import ACTIVATIONS, activated
from torchgraft.stages.fit.names import LINEAR, LOSING, ORDER_KEEPING

X = np.linspace(-9, 9, 60, dtype="float32").reshape(5, 12)


def test_names_and_functions_are_the_same() -> None:
    assert list(ACTIVATIONS) == [*ORDER_KEEPING, *LOSING]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_is_what_keras_computes_under_that_name(name: str) -> None:
    wanted = np.asarray(keras.activations.get(name)(X))
    assert np.abs(activated(name, torch.from_numpy(X)).numpy() - wanted).max() <= 1e-6 * np.abs(wanted).max() + 1e-6


def test_none_is_none() -> None:
    for name in (None, LINEAR):
        assert torch.equal(activated(name, torch.from_numpy(X)), torch.from_numpy(X))
