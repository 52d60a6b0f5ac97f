"""The rules, one a file. An operator that no rule names takes its inputs as in Keras (keras_layout.py)."""

from __future__ import annotations

from ..site import Rule
from .batch_normalization import BATCH_NORMALIZATION
from .broadcast import BROADCAST
from .elementwise import ELEMENTWISE
from .identity import IDENTITY
from .keras_layout import KERAS_LAYOUT
from .linear import LINEAR
from .reshape import RESHAPE
from .transpose import TRANSPOSE

RULES: tuple[Rule, ...] = (
    IDENTITY,
    TRANSPOSE,
    RESHAPE,
    ELEMENTWISE,
    BROADCAST,
    BATCH_NORMALIZATION,
    LINEAR,
)

__all__ = ["KERAS_LAYOUT", "RULES"]
