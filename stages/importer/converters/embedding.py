"""Gather of rows of a weight → ``nn.Embedding``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


def _accepts(source: Source) -> bool:
    rows = source.attributes.get("axis", 0) == 0 and len(source.shape(0) or ()) == 2
    return rows and source.is_held(0) and not source.is_constant(0) and not source.is_held(1)


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    embedding = nn.Embedding(weights[0].shape[0], weights[0].shape[1], device="meta")
    embedding.weight = nn.Parameter(weights[0])
    return embedding


EMBEDDING = Converter(("Gather",), _module, accepts=_accepts, data=(1,), parameters={"weight": 0})
