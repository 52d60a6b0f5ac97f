"""What Keras computes, eagerly and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from ..base import Run
from ..errors import UnsupportedError
from ..keras_io import call_model, named_outputs
from ..keras_layers import keras_layer_outputs
from .samples import Batch, Collected, Samples


@contextmanager
def _runnable() -> Iterator[None]:
    """Say of a model that TensorFlow itself cannot run that it is the model (a GPU's operation, ids out of range)."""
    try:
        yield
    except tf.errors.OpError as error:
        raise UnsupportedError(
            f"Keras itself cannot run the model on these inputs: {error.message.strip().splitlines()[0]}",
            where="the Keras model",
            fix="try model(inputs) in Keras on a CPU; the samples may be out of the range that the model takes",
            details=tuple(error.message.strip().splitlines()[1:]),
        ) from error


def _refuse_without_samples(named: Mapping[str, Any], batch: Batch) -> None:
    """Nothing can be compared sample by sample of an output that mixes the samples."""
    count = len(next(iter(batch.inputs.values())))
    for name, value in named.items():
        if not value.shape.rank or value.shape[0] != count:
            raise UnsupportedError(
                f"output {name} has shape {tuple(value.shape)} on {count} samples: its first axis is not the samples'",
                where=f"output {name}",
                fix="let the model end before what joins the samples of a batch",
            )


def run_keras(model: keras.Model, samples: Samples) -> Run:
    """Outputs of all samples, layers of the probed ones.

    On the CPU: a GPU multiplies float32 in TF32, whose error of 1e-3 is that of a wrong epsilon. In a StatelessScope:
    what a layer would write (the state of a random generator) stays as it is.
    """
    names = list(samples.inputs)
    outputs, layers = Collected(samples.count), Collected(samples.probed)
    for batch in samples.batches():

        def call(batch: Batch = batch) -> Any:
            with keras.device("cpu:0"), keras.StatelessScope(), _runnable():
                return call_model(model, [keras.ops.convert_to_tensor(batch.inputs[name]) for name in names], names)

        if batch.probed:
            result, captured = keras_layer_outputs(model, call)
            layers.add(batch.place, captured)
        else:
            result = call()
        named = named_outputs(model, result)
        _refuse_without_samples(named, batch)
        outputs.add(batch.place, {name: keras.ops.convert_to_numpy(value) for name, value in named.items()})
    return Run(outputs.arrays, layers.arrays)
