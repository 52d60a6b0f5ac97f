"""Several calls of one Keras layer that the module makes at once, on all their samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import extract, images, randomized


class Siamese(nn.Module):
    """One encoder on two inputs, each by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, eps=1e-3), nn.ReLU(), nn.Linear(5, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(a) - self.encoder(b).tanh())


class AtOnce(Siamese):
    def __init__(self, codes: Any) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        x, y = self.codes(self.encoder, a, b)
        return self.head(x - y.tanh())


@pytest.mark.parametrize(
    "codes",
    [
        lambda encoder, a, b: encoder(torch.cat([a, b])).chunk(2),
        lambda encoder, a, b: reversed(encoder(torch.cat([b, a])).chunk(2)),
        lambda encoder, a, b: encoder(torch.stack([a, b]).flatten(0, 1)).unflatten(0, (2, -1)),
    ],
    ids=["cat", "cat turned", "stack"],
)
def test_a_siamese_encoder_may_be_called_once_on_both(codes: Any) -> None:
    extraction = extract(randomized(Siamese()), AtOnce(codes), a=images(4, 6), b=np.cos(images(4, 6)))
    assert [finding for finding in extraction.findings if finding.severity != "note"] == []
    assert {key: str(recipe) for key, recipe in extraction.plan.recipes.items() if recipe.variables} == {
        key: key.replace(".", "/") for key in Siamese().state_dict() if not key.endswith("tracked")
    }


@pytest.mark.parametrize(
    "codes",
    [
        lambda encoder, a, b: encoder(torch.cat([a, a])).chunk(2),
        lambda encoder, a, b: encoder(torch.cat([a, b]).flip(0)).chunk(2),
        lambda encoder, a, b: encoder[3](encoder[0](torch.cat([a, b])).sigmoid()).chunk(2),
    ],
    ids=["one of them twice", "samples exchanged", "another activation"],
)
def test_another_function_of_both_is_an_error(codes: Any) -> None:
    from torchgraft.stages.errors import MappingError

    try:
        extraction = extract(randomized(Siamese()), AtOnce(codes), a=images(4, 6), b=np.cos(images(4, 6)))
    except MappingError:
        return
    assert "error" in [finding.severity for finding in extraction.findings]


def test_inputs_that_are_exchanged_against_their_names_are_told() -> None:
    module = AtOnce(lambda encoder, a, b: encoder(torch.cat([b, a])).chunk(2))
    extraction = extract(randomized(Siamese()), module, a=images(4, 6), b=np.cos(images(4, 6)))
    assert {argument: fit.value for argument, fit in extraction.fit.inputs.items()} == {"a": "b", "b": "a"}
    assert "warning" in [finding.severity for finding in extraction.findings]
