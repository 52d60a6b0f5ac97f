"""What a model computes in, and when two computations in it agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .base import Tolerance

if TYPE_CHECKING:
    import keras
    import torch

HALF = ("float16", "bfloat16")
# Relative error of one rounding: 2**-p for p bits of significand; int8 has 127 steps to the largest value.
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "int8": 1 / 254}
# A layer rounds its input, its weights and its sum: evenly spread errors of u, whose deviation is u / sqrt(3), three of
# them u. Those of L layers add up like a random walk, sqrt(L) u; the largest of 1e4 values is four deviations off.
_LARGEST = 4.0
# Of more than 16 layers it counts as if there were no more: normalisations bring the values back.
_LAYERS = 16
# Kernels of float64 differ in their polynomials for exp and tanh by far more than a rounding.
_FLOAT64 = Tolerance(atol=1e-12, rtol=1e-9, reason="Keras computes in float64: 1e-9 of the largest value")


def computing_dtypes(model: keras.Model) -> dict[str, str]:
    """What layers with weights compute in → the first such layer; "int8" where they are quantised.

    Layers without weights follow those with them, and an InputLayer's dtype says nothing of what is computed.
    """
    found: dict[str, str] = {}
    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - Keras has no public name for all of them
        if layer.weights and "float" in layer.compute_dtype:
            found.setdefault("int8" if layer.quantization_mode else layer.compute_dtype, layer.name)
    return found


def derived_tolerance(model: keras.Model, module: torch.nn.Module | None = None) -> Tolerance:
    """The tolerance of the coarsest type that either side computes in; ``Tolerance()`` for float32.

    Its ``reason`` says which one, and where.
    """
    found = {name: f"Keras layer {layer}" for name, layer in computing_dtypes(model).items()}
    for name in _dtypes_of(module):
        found.setdefault(name, "the module")
    coarsest = max((name for name in found if name in ROUNDING), key=lambda name: ROUNDING[name], default="float32")
    if coarsest == "float64":
        return _FLOAT64
    if coarsest == "float32":
        return Tolerance()
    rounding, depth = ROUNDING[coarsest], _depth(model)
    return Tolerance(
        atol=rounding,
        rtol=_LARGEST * math.sqrt(min(depth, _LAYERS)) * rounding,
        reason=f"{found[coarsest]} computes in {coarsest}, whose roundings are {rounding:.2g} of a value; "
        f"4 sqrt({min(depth, _LAYERS)}) of them are what {depth} layers with weights add up to at the worst",
    )


def between_float32(derived: Tolerance, module: torch.nn.Module) -> Tolerance:
    """Of the module against ONNX Runtime, where Keras alone is coarser: both compute in float32, on equal weights.

    So a wrong weight shows that Keras' own roundings would hide.
    """
    if not derived.reason or set(_dtypes_of(module)) - {"float32"}:
        return derived
    wide = Tolerance()
    return derived if derived.rtol <= wide.rtol else wide


def _depth(model: keras.Model) -> int:
    """How many layers have weights of their own."""
    layers = model._flatten_layers(include_self=False)  # noqa: SLF001
    return max(1, sum(bool(layer._trainable_variables + layer._non_trainable_variables) for layer in layers))  # noqa: SLF001


def _dtypes_of(module: torch.nn.Module | None) -> Iterable[str]:
    if module is None:
        return ()
    tensors = module.state_dict().values()
    return dict.fromkeys(str(one.dtype).removeprefix("torch.") for one in tensors if one.is_floating_point())
