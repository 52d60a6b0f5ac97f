"""Every pair of the zoo, without a hint: placed, exact, verified, equal on inputs of the test's own; or refused."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchgraft.stages.errors import DifferenceError
from zoo.families import PAIRS
from zoo.pair import Pair
from zoo.trial import Trial


def cases(pairs: Iterable[Pair], *, told: bool = False) -> list[object]:
    """A parameter for each pair; ``told``: with what its findings told applied."""
    after = ", told" if told else ""
    return [pytest.param((p, told), id=p.name + after, marks=[pytest.mark.long] if p.full else []) for p in pairs]


SAME = cases(pair for pair in PAIRS if not pair.differs) + cases((pair for pair in PAIRS if pair.told), told=True)
DIFFERENT = cases(pair for pair in PAIRS if pair.differs)


@pytest.fixture(scope="module", params=SAME)
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    yield Trial(*request.param)
    gc.collect()  # Keras' and torch's modules are cycles: the next pair may be as large


@pytest.fixture(scope="module", params=DIFFERENT)
def different(request: pytest.FixtureRequest) -> Iterator[Trial]:
    yield Trial(*request.param)
    gc.collect()


def test_the_module_is_verified_and_only_the_expected_findings_are_told(trial: Trial) -> None:
    found = {finding.fix: str(finding) for finding in trial.conversion.findings}
    assert trial.conversion.verified, list(found.values())
    for words in () if trial.told else trial.pair.findings:
        assert any(words in text for text in found.values()), (words, found)
    assert not [text for text in found.values() if not any(words in text for words in trial.pair.findings)]
    if trial.told:
        assert {finding.severity for finding in trial.conversion.findings} <= {"note"}


def test_every_key_is_placed_and_every_tensor_is_its_recipe_bit_for_bit(trial: Trial) -> None:
    assert list(trial.plan["keys"]) == list(trial.module.state_dict())
    assert trial.kept == set(trial.pair.kept)
    assert not trial.wrong_tensors(trial.conversion.state_dict)


def test_outputs_are_keras_on_fresh_inputs(trial: Trial) -> None:
    for output in trial.expected:  # a model that gives nearly the same for every input would prove nothing
        assert np.ptp(output, axis=0).max() > 1e-2 * np.abs(output).max()
    assert trial.difference(trial.conversion.state_dict) <= trial.pair.tolerance


def test_a_corrupted_weight_and_two_exchanged_layers_show(trial: Trial) -> None:
    good = trial.conversion.state_dict
    first, second = trial.exchangeable()
    corrupted = good[first].flip(tuple(range(good[first].dim())))  # a class token has one place on its first axes
    assert trial.difference({**good, first: corrupted}) > 5 * trial.pair.tolerance
    if first != second:
        assert trial.difference({**good, first: good[second], second: good[first]}) > 5 * trial.pair.tolerance
    nudged = {**good, first: torch.nextafter(good[first], good[first] + 1)}
    assert trial.wrong_tensors(nudged) == [first]


def test_a_different_module_is_refused_with_the_place(different: Trial, tmp_path: Path) -> None:
    assert not different.conversion.verified
    with pytest.raises(DifferenceError) as refusal:
        different.conversion.save(tmp_path / "run")
    assert refusal.value.exit_code == 7
    for words in different.pair.differs:
        assert words in str(refusal.value)
    errors = [str(finding) for finding in different.conversion.findings if finding.severity == "error"]
    assert not [text for text in errors if not any(words in text for words in different.pair.differs)]
    assert not (tmp_path / "run").exists()


def test_the_keys_of_a_different_module_are_placed_exactly_all_the_same(different: Trial) -> None:
    assert not different.kept
    assert not different.wrong_tensors(different.conversion.state_dict)
    assert different.difference(different.conversion.state_dict) > 5 * different.pair.tolerance
