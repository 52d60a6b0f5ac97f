"""What a finding tells to change, done to a module that is built already: each is an argument of what builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def set_epsilon(module: nn.Module, eps: float) -> None:
    """``eps`` of every normalisation."""
    for part in module.modules():
        if hasattr(part, "eps"):
            part.eps = eps


def leave_padding_out(module: nn.Module) -> None:
    """``count_include_pad=False`` of every average pooling."""
    for part in module.modules():
        if hasattr(part, "count_include_pad"):
            part.count_include_pad = False
