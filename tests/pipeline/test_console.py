"""What each View shows of the same job."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from torchgraft.pipeline.console import JsonView, LogView, QuietView, TerminalView, View, show_error, view_for
from torchgraft.pipeline.runner import Outcome
from torchgraft.pipeline.summary import MappingRow, NotVerifiedError, Summary, render, text_of
from torchgraft.stages.base import Agreement, Finding
from torchgraft.stages.errors import DifferenceError, MappingError


def agreement(name: str, pair: tuple[str, str], agrees: bool = True) -> Agreement:
    return Agreement(name, pair, 2e-7, 1e-8, 3e-7, 1.0, agrees, "" if agrees else "differs by 0.3 at (0, 1)")


def summary(layers: int = 2) -> Summary:
    names = [f"layer_{number}" for number in range(layers)]
    return Summary(
        name="lenet",
        model="lenet.keras",
        module="net.py:LeNet5",
        verified=False,
        stages={"load": 1.5, "export": 0.25},
        mapping=tuple(MappingRow(f"{name}.weight[0]", (2, 3), f"{name}/kernel", f"{name}/kernel") for name in names),
        unused=(("head/bias", "the module has no bias there"),),
        graphs=(4, 4),
        outputs=(agreement("out", ("torch", "keras"), agrees=False),),
        layers=tuple(agreement(name, ("torch", "keras")) for name in names),
        not_compared={"dropout": "the module has no such value"},
        accuracy={"keras": 0.75, "torch": 0.5},
        findings=(Finding("error", "bn", "bn_3", "eps is [1e-05], Keras has 0.001", "pass eps=1e-3"),),
    )


def show(view: View, outcome: Outcome) -> None:
    view.job_started("lenet", 1, 2)
    view.started("load", 0, 6)
    view.printed("[bold]printed by the module[/bold]")
    view.finished("load", 1.5)
    view.started("export", 1, 6)
    view.step("tracing", 1, 3)
    view.job_ended(outcome)


GOOD = Outcome("lenet", Path("/runs/lenet"), 2.0, summary(), ("plan.json", "manifest.json"))
UNCHANGED = Outcome("lenet", Path("/runs/lenet"), 0.1, files=("plan.json", "manifest.json"), unchanged=True)
FAILED = Outcome("lenet", Path("/runs/lenet"), 2.0, error=DifferenceError("it differs", where="bn", fix="pass [eps]"))


def test_the_text_has_everything_that_was_found():
    text = text_of(summary())
    for word in (
        "layer_0.weight[0]",
        "(2, 3)",
        "layer_1/kernel",
        "head/bias: the module has no bias there",
        "dropout: the module has no such value",
        "differs by 0.3 at (0, 1)",
        "Keras 0.7500 · PyTorch 0.5000",
        "eps is [1e-05], Keras has 0.001",
        "4 of 4",
        "NOT verified",
    ):
        assert word in text


def test_the_text_is_the_same_however_long_the_stages_took():

    assert text_of(dataclasses.replace(summary(), stages={"load": 9.0})) == text_of(summary())


def test_a_long_table_ends_early_and_says_so(capsys):
    from rich.console import Console

    Console(width=120).print(render(summary(layers=50), 10))
    shown = capsys.readouterr().out
    assert "layer_9.weight" in shown
    assert "layer_10.weight" not in shown
    assert "40 more in plan.json" in shown
    assert "layer_49.weight" in text_of(summary(layers=50))


@pytest.mark.parametrize("view", [LogView, TerminalView])
def test_a_person_sees_stages_summary_and_files(view, capsys):
    show(view(), GOOD)
    out, err = capsys.readouterr()
    assert "load" in err
    assert "[bold]printed by the module[/bold]" in err
    for word in ("Mapping", "1.50", "NOT verified", "/runs/lenet", "plan.json"):
        assert word in out


def test_a_log_has_each_step_once_a_stage_and_no_counters(capsys):
    view = LogView()
    view.job_started("lenet", 1, 1)
    for stage in ("verify", "compare"):
        view.started(stage, 1, 6)
        for done in range(3):
            view.step("running [the] module", done, 3)
        view.step("comparing layers")
    lines = capsys.readouterr().err.splitlines()
    steps = ["[lenet]   running [the] module", "[lenet]   comparing layers"]
    assert lines == ["[lenet] job 1 of 1", "[lenet] 1/6 verify …", *steps, "[lenet] 1/6 compare …", *steps]


@pytest.mark.parametrize("view", [QuietView, LogView, TerminalView])
def test_an_error_is_shown_as_it_is(view, capsys):
    show(view(), FAILED)
    out, err = capsys.readouterr()
    assert "torchgraft: error: job lenet: bn: it differs\nTo fix it: pass [eps]\n" in err
    assert out == ""


@pytest.mark.parametrize("view", [LogView, TerminalView])
def test_a_run_that_did_nothing_says_so(view, capsys):
    show(view(), UNCHANGED)
    assert "nothing has changed" in capsys.readouterr().out


def test_quiet_is_quiet(capsys):
    show(QuietView(), GOOD)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("outcome", "status"), [(GOOD, 0), (UNCHANGED, 0), (FAILED, 7)])
def test_a_program_reads_one_object_a_line(outcome, status, capsys):
    show(JsonView(), outcome)
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    kinds = ["job_started", "started", "printed", "finished", "started", "step", "job_ended"]
    assert [event["event"] for event in events] == kinds
    assert events[-1]["exit_code"] == status
    assert err == ""


def test_a_program_reads_what_was_found_in_a_conversion_that_is_not_verified(capsys):
    JsonView().job_ended(dataclasses.replace(FAILED, summary=summary()))
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert event["exit_code"] == 7
    assert event["accuracy"] == {"keras": 0.75, "torch": 0.5}
    assert event["findings"] == [str(finding) for finding in summary().findings]


def test_the_view_is_the_one_asked_for():
    assert type(view_for(quiet=False, as_json=True)) is JsonView
    assert type(view_for(quiet=True, as_json=False)) is QuietView
    assert type(view_for(quiet=False, as_json=False)) is LogView


def test_findings_that_one_line_mends_are_told_once_with_every_place():
    found = [Finding("warning", f"bn{i}", f"bn_{i}", f"bn{i}.eps is 1e-05", "pass eps=1e-3") for i in range(3)]
    other = Finding("error", "act", "act_1", "the module computes tanh", "use relu")
    text = " ".join(text_of(dataclasses.replace(summary(), findings=(other, *found))).split())
    assert text.count("pass eps=1e-3") == 1
    assert "(and in 2 more places: bn1, bn2)" in text
    assert "use relu" in text


def test_the_tables_of_an_error_end_early_unless_all_is_asked_for(capsys):
    rows = tuple(f"  key_{number} (2, 3): nearest other" for number in range(100))
    error = MappingError(
        "100 keys", details=("keys without a Keras variable:", *rows, "calls:", "  one", "In stage x.")
    )
    show_error(error, limit=10)
    shown = capsys.readouterr().err
    assert "key_9 " in shown
    assert "key_10 " not in shown
    for words in ("… 90 more, shown with --verbose", "calls:", "  one", "In stage x."):
        assert words in shown
    show_error(error, limit=None)
    assert "key_99 " in capsys.readouterr().err


def test_a_conversion_that_differs_is_shown_with_short_tables(capsys):
    long = summary(layers=60)
    error = NotVerifiedError("it differs", summary=long, details=(*text_of(long).splitlines(), "In stage compare."))
    show_error(error, limit=10)
    shown = capsys.readouterr().err
    assert "layer_9.weight" in shown
    assert "layer_59.weight" not in shown
    assert "Differs: out" in shown
    assert "In stage compare." in shown
