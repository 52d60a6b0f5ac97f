"""ConvTranspose that is cropped differently at its two ends → a transposed convolution and a crop.

ONNX ``pads`` crop the full result. What both ends share is PyTorch's ``padding``; the rest is sliced off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .base import Converter, Source

_MODULE: Mapping[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class Crop(nn.Module):
    """Without the first ``begins`` and the last ``ends`` places of the spatial axes."""

    def __init__(self, begins: Sequence[int], ends: Sequence[int]) -> None:
        super().__init__()
        self.begins = tuple(begins)
        self.ends = tuple(ends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis, (begin, end) in enumerate(zip(self.begins, self.ends, strict=True), 2):
            x = x.narrow(axis, begin, x.shape[axis] - begin - end)
        return x

    def extra_repr(self) -> str:
        return f"begins={self.begins}, ends={self.ends}"


def _accepts(source: Source) -> bool:
    pads = list(source.attributes.get("pads", []))
    return (
        pads[: len(pads) // 2] != pads[len(pads) // 2 :]
        and source.is_held(1, 2)
        and "output_shape" not in source.attributes
    )


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    kernel, groups = weights[1], source.attributes.get("group", 1)
    rank, pads = kernel.dim() - 2, source.attributes["pads"]
    shared = [min(pads[axis], pads[rank + axis]) for axis in range(rank)]
    conv = _MODULE[rank](
        kernel.shape[0],
        kernel.shape[1] * groups,
        tuple(kernel.shape[2:]),
        stride=tuple(source.attributes.get("strides", [1] * rank)),
        padding=tuple(shared),
        output_padding=tuple(source.attributes.get("output_padding", [0] * rank)),
        groups=groups,
        bias=2 in weights,
        dilation=tuple(source.attributes.get("dilations", [1] * rank)),
        device="meta",
    )
    conv.weight = nn.Parameter(kernel)
    if 2 in weights:
        conv.bias = nn.Parameter(weights[2])
    crop = Crop(
        [pads[axis] - shared[axis] for axis in range(rank)], [pads[rank + axis] - shared[axis] for axis in range(rank)]
    )
    return nn.Sequential(conv, crop)


CONV_TRANSPOSE = Converter(("ConvTranspose",), _module, accepts=_accepts, parameters={"weight": 1, "bias": 2})
