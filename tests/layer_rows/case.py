"""One layer with its options, and the shapes that the table's models have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

SERIES, MAP, VOLUME, VECTOR = (11, 6), (9, 11, 6), (5, 7, 6, 4), (6,)
Call = Callable[[layers.Layer, Any], Any]


@dataclass(frozen=True)
class Case:
    """One layer with its options.

    Attributes:
        name: of the case, and of the layer; unique.
        shape: of one sample.
        kind: the layer's class.
        args, options: what it is made with.
        call: (layer, input) → what the layer gives, a tensor or a structure of them.
        dtype: of the input.
    """

    name: str
    shape: tuple[int, ...]
    kind: type[layers.Layer]
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    call: Call = lambda layer, given: layer(given)
    dtype: str = "float32"

    def make(self, name: str) -> layers.Layer:
        """A new layer; so are those among its arguments: no two models share one."""
        return self.kind(*_anew(self.args), name=name, **_anew(self.options))


def _anew(arguments: Any) -> Any:
    if isinstance(arguments, dict):
        return {name: _anew(value) for name, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        return type(arguments)(_anew(value) for value in arguments)
    if isinstance(arguments, keras.Model):
        return keras.models.clone_model(arguments)
    return type(arguments).from_config(arguments.get_config()) if isinstance(arguments, layers.Layer) else arguments


def on_two(layer: layers.Layer, given: Any) -> Any:
    """The layer on a list of two inputs: the same tensor, and a scaled one."""
    return layer([given, given * 0.5 + 0.25])


def case(
    name: str,
    shape: tuple[int, ...],
    kind: type[layers.Layer],
    *args: Any,
    inputs: int = 1,
    call: Call | None = None,
    dtype: str = "float32",
    **options: Any,
) -> Case:
    """A case: ``case("conv", MAP, layers.Conv2D, 4, 3, padding="same")``.

    ``inputs=2`` calls the layer on a list of two; ``call`` says any other way of calling it.
    """
    call = call or (on_two if inputs == 2 else Case.call)
    return Case(name, shape, kind, args, options, call, dtype)
