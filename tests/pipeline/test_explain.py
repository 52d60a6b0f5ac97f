"""``torchgraft explain``: moves in words, evidence, and what is said where there is nothing to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torchgraft.pipeline.explain import explain
from torchgraft.pipeline.moves_in_words import steps_of
from torchgraft.stages.errors import CorruptInputError, UsageError
from torchgraft.stages.plan import (
    Computed,
    Fill,
    Flip,
    Joined,
    LeftOver,
    Moved,
    Part,
    Plan,
    Recipe,
    Reorder,
    Reshape,
    Transpose,
    Variable,
)

KERNEL = Variable("dense/kernel", (4, 6))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (KERNEL, "take the Keras variable dense/kernel"),
        (Fill(0, (3,)), "fill with the constant 0, float32"),
        (Moved(Transpose((1, 0)), KERNEL), "put its axes into the order 1, 0"),
        (Moved(Reshape((4, 6), (24,)), KERNEL), "another shape"),
        (Moved(Flip(1), KERNEL), "reverse axis 1"),
        (
            Moved(Reorder(1, (2, 3), (1, 0)), KERNEL),
            "axis 1 as a block (2, 3), and put the block's axes into the order 1",
        ),
        (Moved(Reorder(0, order=(2, 0, 1, 3)), KERNEL), "the 4 positions of axis 0 into another order"),
        (Part(1, 2, 5, KERNEL), "take the positions 2 to 4 of axis 1"),
        (Joined(1, (KERNEL, KERNEL)), "lay these 2 one after the other along axis 1"),
        (Computed("a - b", (KERNEL, KERNEL), "float32"), "compute a - b in float32"),
    ],
)
def test_every_kind_of_step_has_words_and_ends_in_the_shape(expression, words):
    *_, last = steps_of(expression)
    assert words in last
    assert last.endswith(f" {expression.shape}")


def test_what_is_joined_stands_further_in():
    lines = list(steps_of(Joined(0, (Moved(Transpose((1, 0)), KERNEL), Fill(1, (2, 4))))))
    assert [len(line) - len(line.lstrip()) for line in lines] == [2, 5, 5, 2, 5, 2]


@pytest.fixture
def run(tmp_path) -> Path:
    bias = Variable("dense/bias", (6,))
    plan = Plan(
        {
            "fc.weight": Recipe(KERNEL, ("values: reads what dense reads",)).then(Transpose((1, 0))),
            "fc.bias": Recipe(bias),
        },
        {"dense/kernel": KERNEL, "dense/bias": bias},
        {"fc.weight": (6, 4), "fc.bias": (6,), "head.weight": (2, 6)},
        unmatched=(LeftOver("head.weight", (2, 6), "allow_unmatched head.*: it keeps the module's own value"),),
    )
    plan.save(tmp_path / "plan.json")
    lost = {"layer": "other", "variables": ["other/kernel"], "reason": "fits as well; decided by names"}
    found = {"kind": "names", "place": "fc", "layer": "dense", "sentence": "", "lost": [lost]}
    (tmp_path / "evidence.json").write_text(json.dumps({"fc.weight": found}))
    return tmp_path


def test_a_key_is_told_with_its_evidence_and_who_lost(run):
    text = explain(run, "fc.weight")
    assert text.splitlines()[:4] == [
        "fc.weight (6, 4) float32",
        "Keras layer dense → fc",
        "",
        "Recipe: dense/kernel · transpose(1, 0)",
    ]
    assert "Evidence: names: nothing else tells" in text
    assert "  values: reads what dense reads" in text
    assert "  other (other/kernel): fits as well; decided by names" in text


def test_a_key_that_stays_as_it_is_and_one_without_evidence(run):
    assert explain(run / "plan.json", "head.weight").splitlines() == [
        "head.weight (2, 6): as the module has it",
        "Why: allow_unmatched head.*: it keeps the module's own value",
    ]
    (run / "evidence.json").unlink()
    assert "No other candidate fitted." in explain(run, "fc.bias")


def test_an_unknown_key_and_a_folder_without_a_run_are_usage_errors(run):
    with pytest.raises(UsageError, match=r"no key fc\.wieght\nTo fix it: the nearest are fc\.weight"):
        explain(run, "fc.wieght")
    with pytest.raises(UsageError, match=r"no key fc\nTo fix it: the nearest are fc\.[a-z]+(, fc\.[a-z]+)*$"):
        explain(run, "fc")
    with pytest.raises(UsageError, match="no such folder"):
        explain(run / "nowhere", "fc.weight")


def test_a_run_that_failed_has_nothing_to_explain_and_what_to_do_is_said(run):
    (run / "plan.json").unlink()
    with pytest.raises(UsageError, match=r"no plan\.json: no run that was verified") as caught:
        explain(run, "fc.weight")
    assert "torchgraft run --verbose" in str(caught.value)
    assert "allow_unverified=True" in str(caught.value)


@pytest.mark.parametrize("file", ["plan.json", "evidence.json"])
def test_files_of_something_else_are_corrupt(run, file):
    (run / file).write_text("[1, 2]")
    with pytest.raises(CorruptInputError):
        explain(run, "fc.weight")
