"""The rules, one a file. An operator that no rule names takes its inputs as in Keras (keras_layout.py)."""

from __future__ import annotations

from ..site import Rule
from .along_axis import ALONG_AXIS
from .batch_normalization import BATCH_NORMALIZATION
from .bias import BIAS
from .broadcast import BROADCAST
from .concat import CONCAT
from .elementwise import ELEMENTWISE
from .fill import FILL
from .identity import IDENTITY
from .keras_layout import KERAS_LAYOUT
from .layer_normalization import LAYER_NORMALIZATION
from .linear import LINEAR
from .reduce import REDUCE
from .reshape import RESHAPE
from .select import SELECT
from .shape import SHAPE
from .split import SPLIT
from .transpose import TRANSPOSE
from .windows import WINDOWS

RULES: tuple[Rule, ...] = (
    IDENTITY,
    TRANSPOSE,
    RESHAPE,
    ELEMENTWISE,
    BIAS,
    BROADCAST,
    CONCAT,
    SPLIT,
    ALONG_AXIS,
    REDUCE,
    SELECT,
    WINDOWS,
    FILL,
    SHAPE,
    BATCH_NORMALIZATION,
    LAYER_NORMALIZATION,
    LINEAR,
)

__all__ = ["KERAS_LAYOUT", "RULES"]
