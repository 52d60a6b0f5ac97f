"""Settings in which an operation and a candidate for it may differ, though weights and what they read are the same."""

from __future__ import annotations

import math
from typing import Any

from ..torch_graph import Op

#: Name of a setting in ``Op.hyper`` → kinds that it is compared for; () for all. What changes a weight's shape, or
#: what is read (padding), is compared there.
SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("stride", "dilation", "output_padding", "eps"), ()),
    "groups": ("group_norm",),
}
EPSILON = "eps"


def differing_settings(ours: Op, theirs: Op) -> dict[str, tuple[Any, Any]]:
    """Setting → (ours, theirs), of those that differ; float32 rounding of the same number is no difference."""
    found = {}
    for name, kinds in SETTINGS.items():
        mine, other = ours.hyper.get(name), theirs.hyper.get(name)
        if mine is None or other is None or (kinds and ours.kind not in kinds) or _same(mine, other):
            continue
        found[name] = (mine, other)
    return found


def _same(mine: Any, other: Any) -> bool:
    if isinstance(mine, float) or isinstance(other, float):
        return math.isclose(mine, other, rel_tol=1e-5)
    return bool(tuple(mine) == tuple(other) if isinstance(mine, list | tuple) else mine == other)


def written(value: Any) -> str:
    """As code has it: 0.0010000000474974513 → 0.001 (ONNX keeps floats as float32), [2, 2] → (2, 2)."""
    return f"{value:.6g}" if isinstance(value, float) else str(tuple(value) if isinstance(value, list) else value)
