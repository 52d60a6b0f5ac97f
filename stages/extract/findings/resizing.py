"""The module resizes by another rule than Keras under the same name.

Keras' rules are TensorFlow's (keras/src/backend/tensorflow/image.py), torch's those of ``F.interpolate``:

1. nearest: Keras takes the pixel whose centre is nearest, torch's "nearest" rounds down; "nearest-exact" is Keras'.
2. bicubic with antialiasing: one rule. Without, Keras' cubic has a = -0.5, torch's -0.75, which no option changes.
3. area where sizes are no multiples, lanczos3, lanczos5: torch has none that is the same.
"""

from __future__ import annotations

from typing import Any

from ...base import Finding
from .departed import Departed

_OURS = {
    "upsample_nearest2d": "nearest",
    "upsample_bilinear2d": "bilinear",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bilinear2d_aa": "bilinear (antialias=True)",
    "_upsample_bicubic2d_aa": "bicubic (antialias=True)",
    "adaptive_avg_pool2d": "area",
}
_MATRICES = (
    "multiply rows and columns by the matrices that keras.ops.image.resize makes of an identity, as buffers: "
    "F.interpolate has no rule that is the same"
)


def resizing(departed: Departed) -> Finding | None:
    """Both rules, and what to pass; None where no Keras layer resizes there."""
    if departed.glue is None or departed.glue.operator not in _OURS:
        return None
    rivals = {name: other for name, other in departed.theirs.items() if departed.handed & set(other.reads)}
    path = departed.context.layer_after(rivals)
    layer: Any = departed.context.layers.get(path)
    theirs, antialias = getattr(layer, "interpolation", None), getattr(layer, "antialias", False)
    if theirs is None:
        return None
    ours, fix = _OURS[departed.glue.operator], _MATRICES
    if theirs == "nearest":
        fix = "pass mode='nearest-exact'"
    elif theirs == "bilinear" or (theirs == "bicubic" and antialias):
        fix = f"pass mode={theirs!r}, antialias={antialias}"
    smooth = " (antialias=True)" if antialias else ""
    cause = f"the module resizes by F.interpolate's {ours}, Keras by its {theirs}{smooth}, which is another rule"
    return departed.finding(cause, fix, layer=path)
