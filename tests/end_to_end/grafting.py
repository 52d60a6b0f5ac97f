"""A Keras model onto a user's module, and what must then hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
import torch
import torchgraft
from keras_models import inputs_for
from torch import nn

Arrays = Mapping[str, np.ndarray]
Layout = Callable[[torch.Tensor], torch.Tensor]


def as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def channels_first(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.movedim(-1, 1).contiguous() if tensor.dim() > 2 else tensor


def difference(model: keras.Model, module: nn.Module, inputs: Arrays, layout: Layout = as_it_is) -> float:
    """Of all outputs, relative to the largest value of each; outputs may be laid out channels-first."""
    theirs = [np.asarray(one) for one in keras.tree.flatten(model(dict(inputs), training=False))]
    arrays = [torch.from_numpy(np.array(array)) for array in inputs.values()]
    with torch.no_grad():
        ours = module.eval()(*(layout(array) for array in arrays))
    ours = list(ours) if isinstance(ours, tuple) else [ours]
    assert len(ours) == len(theirs)
    worst = 0.0
    for one, other in zip((tensor.numpy() for tensor in ours), theirs, strict=True):
        laid = other if one.shape == other.shape else np.moveaxis(other, -1, 1)
        worst = max(worst, float(np.abs(one - laid).max() / np.abs(laid).max()))
    return worst


def assert_grafted(
    model: keras.Model,
    module: nn.Module,
    given: Callable[[keras.Model, int], Arrays] = lambda model, seed: inputs_for(model, 4, seed),
    layout: Layout = as_it_is,
) -> torchgraft.Conversion:
    """Verified without a finding, loadable strictly, equal on fresh inputs; and each weight turned round shows."""
    conversion = torchgraft.convert(model, module, inputs=given(model, 3))
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert not [finding for finding in conversion.findings if finding.severity != "note"]
    module.load_state_dict(conversion.state_dict, strict=True)
    fresh = given(model, 9)
    assert difference(model, module, fresh, layout) <= 1e-4  # the default rtol
    for key, tensor in conversion.state_dict.items():
        if tensor.dim() > 1 and len(tensor) > 1:
            tied = [other for other, value in conversion.state_dict.items() if torch.equal(value, tensor)]
            module.load_state_dict({**conversion.state_dict, **dict.fromkeys(tied, tensor.flip(0))}, strict=True)
            assert difference(model, module, fresh, layout) > 1e-3, f"{key} turned round makes no difference"
    module.load_state_dict(conversion.state_dict, strict=True)
    return conversion
