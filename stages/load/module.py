"""The user's nn.Module, built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MappingError
from . import user_code

if TYPE_CHECKING:
    import torch


def seed_torch(seed: int) -> None:
    """Seed the generator that a module's own values are drawn from."""
    import torch

    torch.manual_seed(seed)


def torch_module(target: str, kwargs: Mapping[str, Any] | None = None, base: Path | None = None) -> torch.nn.Module:
    """Build what ``target`` names: a class, a function that returns a module, or a module as it stands.

    Args:
        target: "file.py:LeNet5" (relative to ``base``) or "package.module:LeNet5".
        kwargs: given to the class or function.
        base: the folder that relative paths start at, on ``sys.path`` meanwhile; the working directory by default.

    Raises:
        UsageError: no such file, or no such name in it.
        MappingError: importing or building failed, with the user's file and line; or the result is no ``nn.Module``.
    """
    import torch

    base = base or Path.cwd()
    arguments = dict(kwargs or {})
    found = user_code.attribute(target, base, MappingError)
    if callable(found) and not isinstance(found, torch.nn.Module):
        found = user_code.call(found, target, base, MappingError, arguments)
    elif arguments:
        raise MappingError("is built already and takes no kwargs", where=target, fix="remove kwargs from the config")
    if not isinstance(found, torch.nn.Module):
        raise MappingError(
            f"gives a {type(found).__module__}.{type(found).__qualname__}, not a torch.nn.Module",
            where=target,
            fix="name a class that derives from torch.nn.Module, or a function that returns one",
        )
    return found
