"""What the code of a trusted Lambda may name, whatever the program that wrote it had imported."""

from __future__ import annotations

from pathlib import Path

import keras
import keras.ops as K
import numpy as np
import pytest
from keras import layers
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.load import ModelSource, load_model

FACTOR = 2.0


def saved(folder: Path, function, name: str = "model.keras") -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Lambda(function, name="own"), layers.Dense(2)])
    model.save(folder / name)
    return model


def trusted(folder: Path, name: str = "model.keras") -> keras.Model:
    return load_model(ModelSource(path=name, trust=True), folder).model


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_modules_that_people_import_by_habit_are_known(tmp_path, name):
    model = saved(tmp_path, lambda x: sum(keras.ops.relu(each) * np.pi for each in (x, -x)), name)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    assert np.array_equal(np.asarray(trusted(tmp_path, name)(x)), np.asarray(model(x)))


def test_anything_else_is_refused_by_its_name_and_the_line_that_wrote_it(tmp_path):
    saved(tmp_path, lambda x: x * FACTOR)
    with pytest.raises(UnsupportedError, match=r"names 'FACTOR' \(line \d+ of test_lambda_names.py\)"):
        trusted(tmp_path)


def test_another_module_under_a_known_name_is_its_own_affair(tmp_path):
    saved(tmp_path, lambda x: K.relu(x) + 1.0)  # ``K`` is keras.backend by habit, which has no relu
    with pytest.raises(UnsupportedError, match="relu"):
        trusted(tmp_path)
