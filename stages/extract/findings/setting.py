"""The same operation with another setting.

1. A setting differs (a pooling that counts its padding, a slope): both values.
2. Keras pads before it, and the module has it pad itself (a max pooling behind zeros): the line that pads so.
"""

from __future__ import annotations

from typing import Any

from ...base import Finding
from ...torch_graph import Glue
from .departed import Departed

#: What says nothing of what is computed; and what is meant where nothing is written.
_UNTOLD = {"inplace", "dtype"}
_MEANT = {"pad": {"mode": "constant", "value": 0.0}}


def setting(departed: Departed) -> Finding | None:
    """Both values of each setting that differs; None where Keras has no such operation there."""
    if departed.glue is None:
        return None
    rivals = {name: other for name, other in departed.theirs.items() if departed.handed & set(other.reads)}
    pads = {name: other for name, other in rivals.items() if other.operator == "pad"}
    padded = {name: other for name, other in departed.theirs.items() if set(pads) & set(other.reads)}
    for name, other in {**rivals, **padded}.items():
        differing = differing_arguments(departed.glue, other) if other.operator == departed.glue.operator else {}
        if not differing:
            continue
        cause = ", ".join(f"{key} is {ours!r}, Keras has {keras!r}" for key, (ours, keras) in differing.items())
        fix = "pass " + ", ".join(f"{key}={keras!r}" for key, (_, keras) in differing.items())
        if name in padded:
            settings = next(pads[read].settings for read in other.reads if read in pads)
            line = f"F.pad(x, {settings['pad']}, value={settings.get('value') or 0.0})"
            cause, fix = f"{cause} behind {line}", f"write {line} before it, and {fix}"
        return departed.finding(cause, fix, layer=departed.context.layer_at(name))
    return None


def differing_arguments(ours: Glue, theirs: Glue) -> dict[str, tuple[Any, Any]]:
    """Setting → (ours, Keras'), floats as a person writes them: ONNX keeps them as float32."""
    mine, keras = ({**_MEANT.get(glue.operator, {}), **glue.settings} for glue in (ours, theirs))
    both = {name: (value, keras[name]) for name, value in mine.items() if name in keras}
    written = {name: (_written(a), _written(b)) for name, (a, b) in both.items() if name not in _UNTOLD}
    return {name: values for name, values in written.items() if values[0] != values[1]}


def _written(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
