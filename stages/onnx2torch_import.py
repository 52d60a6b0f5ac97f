"""onnx2torch without torchvision, which brings torch's compiler and Triton: 140 MB and a second for two operators.

Two of its converters (NonMaxSuppression, RoiAlign) call functions of ``torchvision.ops``. While onnx2torch is imported
a stand-in is what they get of it: its functions import torchvision when they are called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

PACKAGE, OPS = "torchvision", "torchvision.ops"


class _Later(ModuleType):
    """``torchvision.ops``, imported by the first call of one of its functions."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(OPS), name)(*args, **kwargs)

        return call


def import_onnx2torch() -> None:
    """Before anything of onnx2torch is used; who imports torchvision afterwards, or has before, gets the real one."""
    if PACKAGE in sys.modules:
        return
    package, ops = ModuleType(PACKAGE), _Later(OPS)
    package.ops = ops  # type: ignore[attr-defined]
    sys.modules.update({PACKAGE: package, OPS: ops})
    try:
        import_module("onnx2torch")
    finally:
        del sys.modules[PACKAGE], sys.modules[OPS]
