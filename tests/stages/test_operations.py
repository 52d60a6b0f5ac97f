"""Functions of ``keras.ops`` in functional models: each computes what Keras does in all runtimes, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from first_stages import first_stages, imported_rows
from keras_models import inputs_for
from operations import FUNCTIONS, REFUSED, model_of
from torchgraft.stages.base import Tolerance, Verification
from torchgraft.stages.errors import UnsupportedError

# One function on inputs near one; a Fourier transform or a logarithm of small values errs by a few units of 2**-24.
TOLERANCE = Tolerance(atol=2e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(REFUSED)))
def test_a_function_is_verified_through_the_first_four_stages(name):
    model = model_of(name)
    artifacts = first_stages(model, inputs_for(model))
    verification = artifacts[Verification]
    assert all(row.agrees for row in verification.agreements)
    assert all(row.agrees for row in imported_rows(artifacts, TOLERANCE))
    for output in verification.keras.outputs.values():
        assert np.ptp(output.astype(float)) > 0, "a constant output proves nothing"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_function_without_a_form_is_refused_by_its_operation(name):
    model = model_of(name)
    with pytest.raises(UnsupportedError, match=REFUSED[name]):
        first_stages(model, inputs_for(model))


def test_a_function_that_computes_something_else_is_seen():
    model, other = model_of("relu"), model_of("relu6")
    artifacts, others = (first_stages(each, {"given": 9 * inputs_for(each)["given"]}) for each in (model, other))
    ours, theirs = (next(iter(each[Verification].normalized.outputs.values())) for each in (artifacts, others))
    assert np.abs(ours - theirs).max() > 1
