"""Every public function of ``keras.ops`` is verified, refused with its layer's path, or is no matter of a model's."""

from __future__ import annotations

import keras
import numpy as np
import operations
import operations_table
import pytest
from first_stages import first_stages, imported_rows
from keras import layers
from keras_models import inputs_for
from operations_rest import FUNCTIONS, NO_VALUES, RANDOM, REFUSED, SAME, VERIFIED, WITHOUT_SAMPLES
from torchgraft.stages.base import Artifacts, Job, Silent, Tolerance, Verification
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export import Export

TOLERANCE = Tolerance(atol=2e-6, rtol=1e-5)  # see test_operations.py


def layer_of(name: str) -> layers.Lambda:
    return layers.Lambda(FUNCTIONS[name], output_shape=lambda shape: shape, name=name.replace(".", "_"))


def test_every_public_function_stands_somewhere():
    elsewhere = {*REFUSED, *operations.REFUSED, *WITHOUT_SAMPLES, *RANDOM, *NO_VALUES, *SAME}
    assert not operations_table.public_functions() - operations_table.verified_functions() - elsewhere
    assert set(SAME.values()) <= {*operations_table.verified_functions(), *REFUSED, "getitem"}


def test_the_table_of_functions_is_what_these_cases_say():
    readme = operations_table.README.read_text(encoding="utf-8")
    assert operations_table.written(operations_table.document(), readme) == readme, "run tests/operations_table.py"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_these_functions_are_verified_through_the_first_four_stages():
    given = keras.Input((11, 6), name="given")
    model = keras.Model(given, [layer_of(name)(given) for name in VERIFIED])
    artifacts = first_stages(model, inputs_for(model))
    verification = artifacts[Verification]
    assert [row for row in verification.agreements if not row.agrees] == []
    assert [row for row in imported_rows(artifacts, TOLERANCE) if not row.agrees] == []
    constant = [name for name, value in verification.keras.outputs.items() if np.ptp(value.astype(float)) == 0]
    assert not constant, "a constant output proves nothing"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_is_refused_by_the_path_of_its_layer_before_the_graph_leaves_stage_1(name):
    part = keras.Sequential([keras.Input((11, 6)), layer_of(name)], name="part")
    given = keras.Input((11, 6), name="given")
    model = keras.Model(given, part(given))
    with pytest.raises(UnsupportedError) as refused:
        Export().run(Artifacts(Job(model, None, inputs_for(model))), Silent())
    assert f"part/{name.replace('.', '_')}" in refused.value.where
    assert refused.value.fix


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", WITHOUT_SAMPLES)
def test_an_output_without_samples_is_refused_by_name(name):
    given = keras.Input((11, 6), name="given")
    model = keras.Model(given, layer_of(name)(given))
    with pytest.raises(UnsupportedError, match="samples"):
        first_stages(model, inputs_for(model))
