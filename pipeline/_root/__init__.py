"""torchgraft: grafts the weights of a trained Keras model onto a hand-written PyTorch module, and proves it.

    >>> import torchgraft
    >>> conversion = torchgraft.convert("lenet.keras", LeNet5(), inputs=images)
    >>> conversion.save("runs/lenet")

Names are loaded when they are first used: ``import torchgraft`` loads neither TensorFlow nor torch.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline.conversion import Conversion, convert
    from .stages.base import Comparison, Finding, Tolerance
    from .stages.errors import (
        CorruptInputError,
        DifferenceError,
        LockedError,
        MappingError,
        RefusedError,
        ResourceError,
        TorchgraftError,
        UnsupportedError,
        UsageError,
        WorkerCrashedError,
    )
    from .stages.load import ModelSource
    from .stages.plan import Plan, PlanError, Recipe

_HOMES = {
    "pipeline.conversion": ("Conversion", "convert"),
    "stages.base": ("Comparison", "Finding", "Tolerance"),
    "stages.errors": (
        "CorruptInputError",
        "DifferenceError",
        "LockedError",
        "MappingError",
        "RefusedError",
        "ResourceError",
        "TorchgraftError",
        "UnsupportedError",
        "UsageError",
        "WorkerCrashedError",
    ),
    "stages.load": ("ModelSource",),
    "stages.plan": ("Plan", "PlanError", "Recipe"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Comparison",
    "Conversion",
    "CorruptInputError",
    "DifferenceError",
    "Finding",
    "LockedError",
    "MappingError",
    "ModelSource",
    "Plan",
    "PlanError",
    "Recipe",
    "RefusedError",
    "ResourceError",
    "Tolerance",
    "TorchgraftError",
    "UnsupportedError",
    "UsageError",
    "WorkerCrashedError",
    "__version__",
    "convert",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("torchgraft")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'torchgraft' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
