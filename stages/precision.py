"""What a model computes in, and when two computations in it agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .base import Tolerance

if TYPE_CHECKING:
    import keras
    import torch

HALF = ("float16", "bfloat16")
# Relative error of one rounding: 2**-p for p bits of significand; int8 has 127 steps to the largest value.
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "int8": 1 / 254}
# Roundings of L layers add up like a random walk: sqrt(L) of one of them, 16 for 256 layers.
_LAYERS = 16.0
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
    rounding = ROUNDING[coarsest]
    return Tolerance(
        atol=rounding,
        rtol=_LAYERS * rounding,
        reason=f"{found[coarsest]} computes in {coarsest}, whose roundings are {rounding:.2g} of a value; "
        f"{_LAYERS:g} of them are what 256 layers add up to",
    )


def _dtypes_of(module: torch.nn.Module | None) -> Iterable[str]:
    if module is None:
        return ()
    tensors = module.state_dict().values()
    return dict.fromkeys(str(one.dtype).removeprefix("torch.") for one in tensors if one.is_floating_point())
