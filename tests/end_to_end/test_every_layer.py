"""The whole layer table through all six stages: each case verified in three runtimes, each tensor placed."""

from __future__ import annotations

import pytest
import torchgraft
from keras_models import inputs_for
from layer_table import shapes, table_model


@pytest.mark.parametrize(("shape", "dtype"), shapes(), ids=str)
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")  # Keras, on an option of the table
def test_every_case_of_the_layer_table_is_verified(shape: tuple[int, ...], dtype: str) -> None:
    model = table_model(shape, dtype)
    conversion = torchgraft.convert(model, inputs=inputs_for(model, 4))
    assert conversion.verified, conversion.comparison.first_difference
    assert all(finding.severity == "note" for finding in conversion.findings)
    assert not conversion.comparison.not_compared
    torch_rows = {row.name for row in conversion.comparison.outputs if row.runtimes == ("torch", "keras")}
    assert len(torch_rows) == len(model.outputs)
