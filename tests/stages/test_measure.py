"""What counts as agreement, and what never does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torchgraft.stages.base import Tolerance
from torchgraft.stages.measure import agreement

TOLERANCE = Tolerance(atol=1e-6, rtol=1e-4)


def compare(ours, theirs, tolerance=TOLERANCE):
    return agreement("layer", ("onnxruntime", "keras"), np.asarray(ours), np.asarray(theirs), tolerance)


def test_equal_arrays_agree_exactly():
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    row = compare(values, values)
    assert (row.agrees, row.reason, row.max_abs, row.mean_abs, row.max_rel) == (True, "", 0.0, 0.0, 0.0)
    assert row.cosine == pytest.approx(1.0, abs=1e-12)  # float64 sums of 60 terms


def test_figures_are_those_of_the_definitions():
    ours, theirs = np.array([1.0, -2.0, 4.5]), np.array([1.0, -2.0, 4.0])
    row = compare(ours, theirs)
    assert row.max_abs == 0.5
    assert row.mean_abs == 0.5 / 3
    assert row.max_rel == 0.5 / 4
    assert row.cosine == pytest.approx(ours @ theirs / np.sqrt((ours @ ours) * (theirs @ theirs)), abs=1e-15)
    assert not row.agrees
    assert "0.5 at (2,)" in row.reason


def test_the_limit_is_relative_to_the_largest_value_of_keras():
    theirs = np.array([100.0, 1e-9])
    limit = TOLERANCE.atol + TOLERANCE.rtol * 100.0
    assert compare(theirs + np.array([0.0, limit * 0.999]), theirs).agrees
    assert not compare(theirs + np.array([0.0, limit * 1.001]), theirs).agrees


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_never_agrees(value):
    good = np.ones((2, 5))
    bad = good.copy()
    bad[0, 4] = value
    name = "NaN" if np.isnan(value) else "Inf"
    assert compare(bad, good).reason == f"{name} at (0, 4) in onnxruntime"
    assert compare(good, bad).reason == f"{name} at (0, 4) in keras"
    both = compare(bad, bad)
    assert (both.agrees, both.reason) == (False, f"{name} at (0, 4) on both sides")


def test_shapes_must_be_equal():
    row = compare(np.ones((2, 3)), np.ones((3, 2)))
    assert (row.agrees, row.reason) == (False, "shape (2, 3) against (3, 2)")


def test_kinds_of_dtype_must_be_equal_but_not_their_width():
    assert compare(np.ones(3, "float64"), np.ones(3, "float32")).agrees
    assert compare(np.ones(3, "int64"), np.ones(3, "int32")).agrees
    assert not compare(np.ones(3, "int32"), np.ones(3, "float32")).agrees
    assert not compare(np.ones(3, bool), np.ones(3, "int32")).agrees


def test_integers_and_booleans_must_be_equal():
    assert not compare([100_000, 1], [100_000, 2], Tolerance(atol=10.0, rtol=1.0)).agrees
    assert not compare([True, False], [True, True], Tolerance(atol=10.0, rtol=1.0)).agrees


def test_empty_arrays_prove_nothing():
    assert not compare(np.ones((0, 3)), np.ones((0, 3))).agrees


def test_cosine_is_defined_for_zeros_and_extremes():
    zeros, values = np.zeros(3), np.array([1.0, 2.0, 3.0])
    assert compare(zeros, zeros).cosine == 1.0
    assert compare(zeros, values).cosine == 0.0
    assert compare(values * 1e-200, values * 1e-200).cosine == pytest.approx(1.0, abs=1e-12)
    assert compare(values * 1e200, values * 1e200).cosine == pytest.approx(1.0, abs=1e-12)


def test_the_relative_error_of_something_against_zero_is_infinite():
    assert compare(np.array([1e-9]), np.zeros(1)).max_rel == math.inf


def test_nan_tolerance_lets_nothing_pass():
    assert not compare(np.array([1.0]), np.array([2.0]), Tolerance(atol=math.nan, rtol=math.nan)).agrees
    assert not compare(np.array([1.0]), np.array([1.0]), Tolerance(atol=math.nan, rtol=math.nan)).agrees
