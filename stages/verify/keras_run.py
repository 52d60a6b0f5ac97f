"""What Keras computes, eagerly and layer by layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..base import Run
from ..keras_io import call_model, named_outputs
from ..keras_layers import keras_layer_outputs
from ..plan import Array
from .samples import Samples


def run_keras(model: keras.Model, samples: Samples) -> Run:
    """Outputs of all samples, layers of the probed ones."""
    names = list(samples.inputs)

    def call(batch: dict[str, Array]) -> Any:
        return call_model(model, [keras.ops.convert_to_tensor(batch[name]) for name in names], names)

    outputs: dict[str, list[Array]] = {}
    for _, batch in samples.batches():
        for name, value in named_outputs(model, call(batch)).items():
            outputs.setdefault(name, []).append(keras.ops.convert_to_numpy(value))
    layers: dict[str, list[Array]] = {}
    for _, batch in samples.probes():
        _, captured = keras_layer_outputs(model, lambda batch=batch: call(batch))
        for name, value in captured.items():
            layers.setdefault(name, []).append(value)
    return Run(
        {name: np.concatenate(parts) for name, parts in outputs.items()},
        {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in layers.items()},
    )
