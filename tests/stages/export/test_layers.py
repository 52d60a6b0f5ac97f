"""Every layer of the table, every option: the raw graph computes what Keras computes."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from keras_models import inputs_for
from layer_table import ACTIVATIONS, CASES, shapes, table_model
from torchgraft.stages.base import Artifacts, Job, Silent, Tolerance
from torchgraft.stages.export import Export
from torchgraft.stages.export.whole import WHOLE_LAYERS
from torchgraft.stages.measure import agreement
from torchgraft.stages.verify.keras_run import run_keras
from torchgraft.stages.verify.onnx_run import OnnxRunner
from torchgraft.stages.verify.samples import samples_of

# One layer on inputs near one: sums of at most 200 float32 products, 2**-24 * sqrt(200) < 1e-6 of the largest term.
TOLERANCE = Tolerance(atol=1e-6, rtol=5e-6)


@functools.cache
def both_runs(shape, dtype):
    """(Keras' run, ONNX Runtime's run, exported graph) of the model of all cases of one shape."""
    model = table_model(shape, dtype)
    job = Job(model, None, inputs_for(model))
    exported = Export().run(Artifacts(job), Silent())
    exported.check()
    samples = samples_of(job, exported)
    return run_keras(model, samples), OnnxRunner(exported, exported.variables).run(samples), exported


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_raw_graph_computes_what_keras_computes(case):
    ours, theirs = (run.outputs for run in both_runs(case.shape, case.dtype)[1::-1])
    names = [name for name in theirs if name.split(".")[0] == case.name]
    assert names
    for name in names:
        row = agreement(name, ("onnxruntime", "keras"), ours[name], theirs[name], TOLERANCE)
        assert row.agrees, row.reason
        assert np.ptp(theirs[name]) > 0, "a constant output proves nothing"


@pytest.mark.parametrize(("shape", "dtype"), shapes())
def test_every_layer_is_a_boundary_with_keras_value(shape, dtype):
    keras_run, onnx_run, exported = both_runs(shape, dtype)
    assert set(onnx_run.layers) == set(keras_run.layers) == {boundary.name for boundary in exported.boundaries}
    for name, theirs in keras_run.layers.items():
        assert agreement(name, ("onnxruntime", "keras"), onnx_run.layers[name], theirs, TOLERANCE).agrees, name


def test_the_table_has_every_layer_that_has_a_handler():
    made = {type(case.make(name=case.name)) for case in CASES}
    assert {kind for handler in WHOLE_LAYERS for kind in handler.layers} <= made


def test_the_table_has_every_activation_of_keras():
    functions = {
        name
        for name in dir(keras.activations)
        if callable(getattr(keras.activations, name)) and name not in ("get", "serialize", "deserialize")
    }
    assert functions == set(ACTIVATIONS)
