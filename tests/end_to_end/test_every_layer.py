"""The whole layer table through all six stages: each case verified in three runtimes, each tensor placed."""

from __future__ import annotations

import functools

import keras
import pytest
import support_table
import torchgraft
from keras_models import inputs_for
from layer_table import shapes, table_model
from torchgraft.pipeline.conversion import Conversion
from torchgraft.stages.base import Artifacts, ImportedModule, Job, Silent
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export import Export
from torchgraft.stages.export.refusals import REFUSED

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")  # an option of the table


@functools.cache
def conversion_of(shape: tuple[int, ...], dtype: str) -> Conversion:
    model = table_model(shape, dtype)
    return torchgraft.convert(model, inputs=inputs_for(model, 4))


@pytest.mark.parametrize(("shape", "dtype"), shapes(), ids=str)
def test_every_case_of_the_layer_table_is_verified(shape: tuple[int, ...], dtype: str) -> None:
    conversion = conversion_of(shape, dtype)
    assert conversion.verified, conversion.comparison.first_difference
    told = [finding for finding in conversion.findings if finding.severity != "note"]
    assert all("no sample holds one" in finding.cause for finding in told), told  # a Masking layer, samples of noise
    assert not conversion.comparison.not_compared
    torch_rows = {row.name for row in conversion.comparison.outputs if row.runtimes == ("torch", "keras")}
    assert len(torch_rows) == len(table_model(shape, dtype).outputs)


def test_the_support_table_is_what_these_conversions_and_the_refusals_say() -> None:
    text = support_table.document(lambda shape, dtype: conversion_of(shape, dtype).artifacts[ImportedModule])
    readme = support_table.README.read_text(encoding="utf-8")
    assert support_table.written(text, readme) == readme, "run python tests/support_table.py"


def test_every_layer_of_keras_is_accounted_for_once() -> None:
    names = list(support_table.layer_classes())
    assert len(names) == 143, "another Keras: read its new layers, then this number"
    text = support_table.README.read_text(encoding="utf-8")
    for name in names:
        assert text.count(f"\n| {name} | ") == 1, name


def test_a_layer_without_a_case_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = tuple(case for case in support_table.CASES if case.kind is not keras.layers.SeparableConv1D)
    monkeypatch.setattr(support_table, "CASES", cases)
    with pytest.raises(LookupError, match="SeparableConv1D"):
        support_table.layer_rows(lambda shape, dtype: pytest.fail("a table was begun that cannot be finished"))


@pytest.mark.parametrize("name", [name for refusal in REFUSED for name in refusal.layers])
def test_a_refused_layer_is_named_with_its_path_before_anything_is_traced(name: str) -> None:
    class Holder(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="holder")
            self.part = keras.Sequential([support_table.stand_in(name, getattr(keras.layers, name))], name="part")

        def call(self, x):
            raise AssertionError("the model was called")

    job = Job(Holder(), None, {"x": keras.ops.convert_to_numpy(keras.ops.ones((2, 3)))})
    with pytest.raises(UnsupportedError) as caught:
        Export().run(Artifacts(job), Silent())
    assert caught.value.where == "layer part/refused"
    assert name in caught.value.details[0]
    assert caught.value.fix
