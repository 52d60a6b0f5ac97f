"""A Fit applied: Keras arrays become what ``forward`` takes, and what it gives becomes Keras arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..fit import Fit, InputFit, OutputFit, laid
from ..fit.activations import activated
from ..plan import Array
from .call import Call, result_places, tensors_in
from .state import put_state
from .tensors import as_tensor, in_dtype


def call_of_fit(fit: Fit) -> Call:
    """How ``forward`` is called under a Fit whose inputs are all stated."""
    return Call(tuple(fit.inputs), fit.options)


def fed(
    inputs: Mapping[str, InputFit], values: Mapping[str, Array], floating: torch.dtype | None = None
) -> list[torch.Tensor]:
    """What each argument takes. ``values``: name of a Keras input or layer → array, in Keras layout.

    Floating ones are of the type ``floating``, torch's default one where it is None, unless the Fit states another.

    Raises:
        ValueError: a value does not fit the layout that is stated for it.
    """
    taken = floating or torch.get_default_dtype()
    return [_cast(as_tensor(laid(values[str(fit.value)], fit.layout)), fit, taken) for fit in inputs.values()]


def _cast(tensor: torch.Tensor, fit: InputFit, floating: torch.dtype) -> torch.Tensor:
    tensor = tensor == 0 if fit.inverted else tensor
    return tensor.to(getattr(torch, fit.dtype)) if fit.dtype else in_dtype(tensor, floating)


def given(fit: OutputFit, value: torch.Tensor, shape: Sequence[int | None]) -> torch.Tensor:
    """A tensor of the module's as Keras has it: laid out in ``shape``, and the activation applied that it lacks.

    Raises:
        ValueError: it does not fit the layout that is stated for it.
    """
    turned = torch.from_numpy(laid(value.numpy(), fit.layout, shape))
    return activated(fit.activation, turned)


def outputs_by_place(
    twin: nn.Module, tensors: Sequence[torch.Tensor], state: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Place in forward's result → tensor, of an adapted module; with ``state`` in the place of its own, where given."""
    put_state(twin, state or {})
    result = twin(*tensors)
    tensors_given = (tensor for _, tensor in tensors_in(result))
    return dict(zip(result_places(twin, result), tensors_given, strict=True))
