"""What a model's inputs are, and random values for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnsupportedError, UsageError
from ..plan import Array

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class InputSpec:
    """What the model takes: shape with the batch first, None where free.

    ``vocabulary`` is that of the Embedding it feeds, ``masked`` what the steps are full of that a Masking layer, or an
    Embedding with ``mask_zero``, hides.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    vocabulary: int | None = None
    masked: float | None = None

    def __str__(self) -> str:
        axes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype} ({axes})"


def input_specs(model: keras.Model) -> tuple[InputSpec, ...]:
    """The inputs that a Sequential or functional model declares, in its order; empty for a subclassed one."""
    from ..keras_io import declared_inputs

    declared = declared_inputs(model)
    return tuple(
        InputSpec(one.name, one.shape, one.dtype, _vocabulary(model, one.name), _masked(model, one.name))
        for one in declared
    )


def _masked(model: keras.Model, name: str) -> float | None:
    """What a layer that takes the input ``name`` itself hides: a Masking layer, or an Embedding with ``mask_zero``."""
    from ..keras_io import hidden_values

    return hidden_values(model).get(name)


def _vocabulary(model: keras.Model, name: str) -> int | None:
    """``input_dim`` of the smallest Embedding that takes the input ``name`` itself."""
    import keras

    tensors = [tensor for tensor in model.inputs if tensor.name == name]
    sizes = [
        layer.input_dim
        for layer in model.layers
        if isinstance(layer, keras.layers.Embedding) and any(layer.input is tensor for tensor in tensors)
    ]
    return min(sizes, default=None)


def generated_inputs(
    model: keras.Model,
    samples: int,
    seed: int = 0,
    floats: tuple[float, float] = (-1.0, 1.0),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Array]:
    """Seeded random inputs by each input's shape and dtype.

    Args:
        model: its ``inputs`` give shapes and dtypes.
        samples: length of the batch axis.
        seed: the same seed gives the same arrays.
        floats: lowest and highest value of a floating input.
        ranges: input name → its own lowest and highest value, both included for integers. An integer input
            without one gets [0, input_dim - 1] of the Embedding that it feeds; there is no other default.

    Raises:
        UsageError: an integer input without a range, a free axis other than the batch, or a name that is no input.
        UnsupportedError: a dtype that cannot be generated (string).
    """
    specs = input_specs(model)
    ranges = ranges or {}
    if not specs:
        raise UsageError("the model declares no inputs", where="inputs", fix="give the inputs as a file or a factory")
    unknown = sorted(set(ranges) - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(spec.name for spec in specs)
        raise UsageError(f"a range for {unknown[0]!r}", where="inputs", fix=f"the model's inputs are {known}")
    return {
        spec.name: _draw(spec, samples, np.random.default_rng([seed, position]), floats, ranges.get(spec.name))
        for position, spec in enumerate(specs)
    }


def _draw(
    spec: InputSpec,
    samples: int,
    rng: np.random.Generator,
    floats: tuple[float, float],
    limits: tuple[float, float] | None,
) -> Array:
    free = [axis for axis, size in enumerate(spec.shape) if axis and size is None]
    if free:
        raise UsageError(
            f"input {spec} has a free axis {free[0]}, so no array can be generated",
            where="inputs",
            fix="give the inputs as a file or a factory",
        )
    shape = (samples, *(int(size) for size in spec.shape[1:] if size is not None))
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if spec.dtype.startswith(("int", "uint")):
        low, high = limits or _vocabulary_range(spec)
        drawn = rng.integers(int(low), int(high), shape, endpoint=True).astype(spec.dtype)
        return drawn if limits else _padded(drawn, spec.masked)
    if spec.dtype.startswith(("float", "bfloat")):
        drawn = rng.uniform(*(limits or floats), shape)
        return (_padded(drawn, spec.masked) if len(shape) > 2 else drawn).astype(spec.dtype)
    raise UnsupportedError(f"input {spec}: no values of this dtype can be generated", where="inputs", fix="give a file")


def _vocabulary_range(spec: InputSpec) -> tuple[float, float]:
    if spec.vocabulary is None:
        raise UsageError(
            f"input {spec} takes integers, and nothing says which",
            where="inputs",
            fix="state its range in the config",
        )
    return int(spec.masked == 0 and spec.vocabulary > 1), spec.vocabulary - 1


def _padded(drawn: Array, masked: float | None) -> Array:
    """The samples end early, as padded ones do: a mask that hides nothing would not be compared."""
    if masked is not None and drawn.ndim > 1 and drawn.shape[1] > 1:
        for place, sample in enumerate(drawn):
            sample[drawn.shape[1] - place % drawn.shape[1] :] = masked
    return drawn
