"""Pieces that work on the features: Dense, Embedding, normalisation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hypothesis import strategies as st
from keras import layers
from torch import nn

from .activating import ACTIVATIONS, with_activation
from .description import Draw, Options, Piece, Shape


class OverFeatures(nn.Module):
    """Its module with the channels last: (N, C, …) → (N, …, C) → (N, C', …)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x.movedim(1, -1)).movedim(-1, 1)


def over_features(module: nn.Module, shape: Shape) -> nn.Module:
    return module if len(shape) == 1 else OverFeatures(module)


def _dense(draw: Draw, shapes: list[Shape]) -> Options:
    return {
        "units": draw(st.integers(1, 6)),
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
    }


def _dense_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    linear = over_features(nn.Linear(shape[-1], options["units"], bias=options["use_bias"]), shape)
    return with_activation(linear, options["activation"])


def _epsilon(draw: Draw, shapes: list[Shape]) -> Options:
    return {"epsilon": draw(st.sampled_from([1e-3, 1e-5]))}


def _batch_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return kind(shape[-1], eps=options["epsilon"])


def _layer(draw: Draw, shapes: list[Shape]) -> Options | None:
    return _epsilon(draw, shapes) if shapes[0][-1] > 1 else None


def _layer_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    return over_features(nn.LayerNorm(shape[-1], eps=options["epsilon"]), shape)


def _group(draw: Draw, shapes: list[Shape]) -> Options:
    groups = draw(st.sampled_from([size for size in (1, 2, 3) if shapes[0][-1] % size == 0]))
    return {**_epsilon(draw, shapes), "groups": groups}


def _group_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    return nn.GroupNorm(options["groups"], shapes[0][-1], eps=options["epsilon"])


class Embedded(nn.Module):
    """(N, T) → (N, C, T)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.table = nn.Embedding(options["input_dim"], options["output_dim"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table(x).transpose(1, 2)


def _embedding(draw: Draw, shapes: list[Shape]) -> Options:
    return {"input_dim": draw(st.integers(5, 9)), "output_dim": draw(st.integers(2, 6))}


def features() -> Iterator[Piece]:
    yield Piece("Dense", (1, 2, 3), _dense, layers.Dense, _dense_twin)
    yield Piece("BatchNormalization", (1, 2, 3), _epsilon, layers.BatchNormalization, _batch_twin)
    yield Piece("LayerNormalization", (1, 2, 3), _layer, layers.LayerNormalization, _layer_twin)
    yield Piece("GroupNormalization", (2, 3), _group, layers.GroupNormalization, _group_twin)
    yield Piece("Embedding", (1,), _embedding, layers.Embedding, lambda options, _: Embedded(options), dtype="int32")
