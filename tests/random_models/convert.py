"""Converts a drawn model, and says what is wrong with the result."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import torch
import torchgraft
from keras_models import inputs_for
from torch import nn
from torch_pairs import randomized
from torchgraft.stages.errors import DifferenceError

from .build import Twin, keras_model
from .description import Architecture

# Stated, as a branch without a trained layer does not tell in which it is fed.
LAYOUTS = {2: "n t c -> n c t", 3: "n h w c -> n c h w"}


def converted(drawn: Architecture) -> tuple[keras.Model, Twin, torchgraft.Conversion]:
    """The model, and the conversion onto its twin, all of whose weights are other numbers."""
    model = keras_model(drawn)
    twin = randomized(Twin(drawn))
    fed = {
        f"values.{place}": {"value": f"input{place}", **({"layout": LAYOUTS[len(shape)]} if len(shape) > 1 else {})}
        for place, (shape, _) in enumerate(drawn.inputs)
    }
    return model, twin, torchgraft.convert(model, twin, inputs=inputs_for(model, 4), fit={"inputs": fed})


def faults(drawn: Architecture) -> list[str]:
    """What is not as it must be: verified, every key made, equal on fresh inputs; refused, where that shows nothing."""
    try:
        model, twin, conversion = converted(drawn)
    except DifferenceError as error:
        return [] if is_still(drawn) and "weak probe" in error.what else [str(error)]
    found = [str(finding) for finding in conversion.findings if finding.severity == "error"]
    if not conversion.verified:
        first = conversion.comparison.first_difference or conversion.verification.first_difference
        found.append(f"not verified: {first}")
    found += [f"not compared: {name}: {why}" for name, why in conversion.comparison.not_compared.items()]
    twin.load_state_dict(conversion.state_dict, strict=True)
    fresh = inputs_for(model, 3, seed=7)
    return found + differences(twin, model, fresh)


def is_still(drawn: Architecture) -> bool:
    """Whether a model with weights gives the same for every sample (``x - x``, a softmax over one feature)."""
    model = keras_model(drawn)
    made = keras.tree.flatten(model(list(inputs_for(model, 4).values()), training=False))
    return bool(model.weights) and all(np.ptp(np.asarray(each), axis=0).max(initial=0) == 0 for each in made)


def differences(twin: nn.Module, model: keras.Model, inputs: Mapping[str, np.ndarray]) -> list[str]:
    """The outputs at which the module with its new weights is not Keras."""
    with torch.no_grad():
        ours = twin.eval()(*(_laid(array) for array in inputs.values()))
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = keras.tree.flatten(model(list(inputs.values()), training=False))
    found = []
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        expected = np.asarray(other)
        got = np.moveaxis(one.numpy(), 1, -1)
        gap = float(np.abs(got - expected).max())
        if gap > 1e-4 * float(np.abs(expected).max()) + 1e-5:  # the default tolerance, on inputs it has not seen
            found.append(f"output {place} differs by {gap:.3g}")
    return found


def _laid(array: np.ndarray) -> torch.Tensor:
    if array.dtype.kind == "i":
        return torch.from_numpy(array.astype("int64"))
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
