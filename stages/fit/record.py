r"""Fit: which argument of ``forward`` takes which Keras value, and which of its outputs is which.

>>> given = OutputFit("logits", activation="softmax")
    >>> fit = Fit({"x": InputFit("image", "n h w c -> n c h w")}, {"predictions": given})
>>> print("\n".join(fit.config_lines()))
fit:
  inputs:
    x: {value: image, layout: n h w c -> n c h w}
  outputs:
    predictions: {place: logits, activation: softmax}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_(][\w./()> -]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off"})


@dataclass(frozen=True)
class InputFit:
    """What one argument of ``forward`` takes. None: not stated, to be found.

    Attributes:
        value: a Keras input; or the Keras layer whose value it takes, where Keras preprocesses before its first trained
            layer and the module does not.
        layout: from the Keras array to the argument, as einops writes it ("n h w c -> n c h w").
        dtype: torch's name of it ("int64", "float32", "bool").
        inverted: whether it takes True where the value is 0: a mask of what is padding, where Keras' is of what is not.
    """

    value: str | None = None
    layout: str | None = None
    dtype: str | None = None
    inverted: bool | None = None


@dataclass(frozen=True)
class OutputFit:
    """What the module gives for one Keras output. None: not stated, to be found.

    Attributes:
        place: where in forward's result: a key, an attribute or a number ("logits", "0", "aux.1"); "" where the
            result is one tensor.
        layout: from the module's tensor to the Keras array.
        activation: what makes Keras' value from the module's (the module gives logits); "linear" for none.
        keras_activation: what makes the module's value from Keras' (Keras gives logits).
        value: the Keras layer whose value the module gives, where that is not the output itself.
    """

    place: str | None = None
    layout: str | None = None
    activation: str | None = None
    keras_activation: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Fit:
    """How a module is fed and what it gives.

    Attributes:
        inputs: argument → InputFit, in the order of the arguments. "x" for an argument, "x.image" for an entry of a
            dict that it takes, "x.0" for one of a list or of ``*x``.
        outputs: Keras output → OutputFit.
        options: what else ``forward`` is called with (``use_cache: false``).
    """

    inputs: Mapping[str, InputFit] = field(default_factory=dict)
    outputs: Mapping[str, OutputFit] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the config has it, without what is not stated."""
        entries = {"inputs": _entries(self.inputs), "outputs": _entries(self.outputs), "options": dict(self.options)}
        return {name: found for name, found in entries.items() if found}

    def config_lines(self) -> list[str]:
        """The lines of a config that state it; none where there is nothing to state."""
        data = self.to_json()
        lines = ["fit:"] if data else []
        for group in ("inputs", "outputs"):
            if group in data:
                lines.append(f"  {group}:")
                lines += [f"    {_text(name)}: {_flow(entry)}" for name, entry in data[group].items()]
        return lines + ([f"  options: {_flow(data['options'])}"] if "options" in data else [])


def _entries(fits: Mapping[str, InputFit] | Mapping[str, OutputFit]) -> dict[str, dict[str, Any]]:
    stated = {
        name: {key: value for key, value in asdict(fit).items() if value not in (None, "")}
        for name, fit in fits.items()
    }
    return {name: entry for name, entry in stated.items() if entry}


def _flow(entry: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{_text(key)}: {_text(value)}" for key, value in entry.items()) + "}"


def _text(value: Any) -> str:
    """A YAML scalar: plain where it reads back as it is."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and value == value.strip():
        return value
    return json.dumps(value, ensure_ascii=False)
