"""Candidates that read the same: what tells them apart, what does not, hints, and how it is said."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import artifacts, extract, images, randomized
from torchgraft.stages.base import Artifacts, Extraction, Job, Silent
from torchgraft.stages.errors import MappingError, UsageError
from torchgraft.stages.extract import Extract, retry
from torchgraft.stages.extract.guesses import TRIED
from torchgraft.stages.fit import Fit, OutputFit
from torchgraft.stages.hints import Hint, hints_of_plan

PICTURES, VECTORS = images(4, 7, 7, 3), images(4, 6)


class Twins(nn.Module):
    """Two branches that are added: whichever way, the function is the same."""

    def __init__(self, names: tuple[str, str] = ("one", "two")) -> None:
        super().__init__()
        self.names = names
        for name in names:
            self.add_module(name, nn.Linear(6, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (self.get_submodule(name)(x) for name in self.names)
        return torch.add(torch.relu(first), torch.relu(second))


class TwinHeads(Twins):
    """Two branches that are told apart by what follows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (self.get_submodule(name)(x) for name in self.names)
        return torch.relu(first) - F.tanh(second)


class TwoSettings(nn.Module):
    """Branches of one shape that are added, alike but for a setting."""

    def __init__(self, *branches: nn.Module, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        for name, branch in zip(names, branches, strict=True):
            self.add_module(name, branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (self.get_submodule(name)(x) for name in self.names)
        return torch.add(torch.relu(first), torch.relu(second))


def epsilons(*values: float) -> list[nn.Module]:
    return [nn.BatchNorm2d(3, eps=eps) for eps in values]


@pytest.mark.parametrize(
    ("ours", "theirs", "setting"),
    [(epsilons(0.5, 0.001), epsilons(0.001, 0.5), "eps"), (epsilons(0.001, 0.5), epsilons(0.001, 0.5), "eps")],
)
def test_branches_that_differ_only_in_a_setting_are_told_apart_by_it(
    ours: list[nn.Module], theirs: list[nn.Module], setting: str
):
    reference, module = TwoSettings(*theirs, names=("one", "two")), TwoSettings(*ours, names=("b", "a"))
    extraction = extract(randomized(reference), module, x=PICTURES)
    expected = {mine: other for mine, a in zip("ba", ours, strict=True)
                for other, b in zip(("one", "two"), theirs, strict=True) if a.eps == b.eps}  # fmt: skip
    assert {key: str(extraction.plan[f"{key}.weight"]) for key in "ab"} == {
        key: f"{expected[key]}/weight" for key in "ab"
    }
    assert extraction.evidence["b.weight"].kind == "structure"
    assert not extraction.findings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([{"padding": 1}, {"padding": 2, "dilation": 2}], "reads (3, 3, 11, 11), here it is (3, 3, 9, 9)"),
        (
            [{"padding": 1}, {"padding": 1, "padding_mode": "reflect"}],
            "reads other values: their sums, in any order, are",
        ),
    ],
    ids=["dilation", "padding mode"],
)
def test_branches_that_differ_in_what_they_read_are_told_apart_by_values(options: list[dict[str, Any]], words: str):
    first, second = ([nn.Conv2d(3, 4, 3, **one) for one in each] for each in (options, options[::-1]))
    reference, module = TwoSettings(*first, names=("one", "two")), TwoSettings(*second, names=("a", "b"))
    extraction = extract(randomized(reference), module, x=PICTURES)
    assert {key: str(extraction.plan[f"{key}.weight"]) for key in "ab"} == {"a": "two/weight", "b": "one/weight"}
    assert not extraction.findings
    (lost,) = extraction.evidence["b.weight"].lost
    assert words in lost.reason


def test_where_both_settings_are_wrong_the_epsilons_are_told():
    reference = TwoSettings(*epsilons(0.001, 0.5), names=("one", "two"))
    extraction = extract(randomized(reference), TwoSettings(*epsilons(0.1, 0.1), names=("b", "a")), x=PICTURES)
    assert sorted(finding.fix for finding in extraction.findings if "eps" in finding.fix) == [
        "pass eps=0.001",
        "pass eps=0.5",
    ]


def hinted(kind: type[Twins], hints: dict[str, str]) -> Extraction:
    given = artifacts(randomized(kind()), kind(("a", "b")), {"x": images(4, 6)})
    job = given[Job]
    stated = tuple(Hint(ours, keras, f"job.yaml:{line}") for line, (ours, keras) in enumerate(hints.items(), 1))
    fields = {name: getattr(job, name) for name in ("model", "module", "inputs", "probe_samples")}
    others = (value for key, value in given._kept.items() if key is not Job)
    return Extract().run(Artifacts(Job(**fields, hints=stated), *others), Silent())


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("two", "one")])
def test_a_hint_decides_between_what_values_leave_open(first: str, second: str):
    extraction = hinted(Twins, {"a": first})
    assert [str(extraction.plan[key]) for key in ("a.weight", "b.weight")] == [f"{first}/weight", f"{second}/weight"]
    assert extraction.evidence["a.weight"].kind == "hint"


def test_what_is_interchangeable_is_said_to_be_so_with_the_hint_that_settles_it():
    (finding,) = hinted(Twins, {}).findings
    assert (finding.severity, finding.place) == ("note", "a")
    assert finding.cause.startswith("a.weight, a.bias may be one or two: the function is the same")
    assert finding.fix == 'settle it by `hints: {"a": "one"}`, or "two"'
    assert not hinted(Twins, {"a": "two"}).findings


def test_what_the_outputs_tell_apart_is_no_ambiguity():
    assert not hinted(TwinHeads, {}).findings


def test_a_guess_in_a_module_that_departs_is_a_warning_with_the_hint():
    class Departs(Twins):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cos(super().forward(x)) if self.names[0] == "a" else super().forward(x)

    findings = {finding.severity: finding for finding in hinted(Departs, {}).findings}
    assert "both read the same values" in findings["warning"].cause
    assert "hints:" in findings["warning"].fix


def test_the_candidates_that_lost_are_kept_with_the_reason():
    (lost,) = hinted(TwinHeads, {}).evidence["a.weight"].lost
    assert (lost.layer, lost.variables) == ("two", ("two/bias", "two/weight"))
    assert lost.reason.startswith("reads the same; ")
    (lost,) = hinted(Twins, {"a": "two"}).evidence["a.weight"].lost
    assert (lost.layer, lost.reason) == ("one", "reads the same; decided by a hint")

    class Deep(Twins):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, second = (self.get_submodule(name) for name in self.names)
            return second(F.pad(torch.relu(first(x)), (0, 2)))

    (lost,) = hinted(Deep, {}).evidence["a.weight"].lost
    assert re.fullmatch(
        r"the same kind and shape; reads other values: their sums, in any order, are [\d.]+ % apart", lost.reason
    )


def test_candidates_that_lost_say_which_setting_which_shape_or_whose_they_are():
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([torch.relu(self.one(x)), torch.tanh(self.two(x)), self.three(x)], 1)

    lost = {
        one.layer: one.reason for one in extract(randomized(Three()), Three(), x=VECTORS).evidence["one.weight"].lost
    }
    assert lost["three"] == "reads the same; it gives 5 features, the module's 4"
    assert "what follows tells that it is two" in lost["two"] or "outputs are not Keras'" in lost["two"]
    reference, module = (TwoSettings(*epsilons(0.001, 0.5), names=names) for names in (("one", "two"), ("b", "a")))
    (lost_by_eps,) = extract(randomized(reference), module, x=PICTURES).evidence["b.weight"].lost
    assert lost_by_eps.reason == "reads the same; its eps is 0.5, the module's 0.001"


def test_what_is_interchangeable_is_said_in_the_plan_and_with_the_candidate():
    extraction = hinted(Twins, {})
    assert "interchangeable with the other: the function is the same" in extraction.plan["a.weight"].evidence[0]
    (lost,) = extraction.evidence["a.weight"].lost
    assert lost.reason == "reads the same; interchangeable: the function is the same; decided by the order of execution"
    assert "interchangeable" not in " ".join(hinted(TwinHeads, {}).plan["a.weight"].evidence)


class Many(nn.Module):
    """Pairs of branches that are added, each on an input of its own."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.all = nn.ModuleList(nn.Linear(6, width) for width in widths for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.all[::2], self.all[1::2], strict=True)
        return torch.cat([torch.relu(one(x * n)) + torch.relu(two(x * n)) for n, (one, two) in enumerate(pairs, 1)], 1)


def test_of_many_choices_of_one_structure_one_is_tried_and_all_are_told():
    extraction = extract(randomized(Many(*[4] * 12)), Many(*[4] * 12), x=VECTORS)
    assert len(extraction.findings) == 12
    assert all("the function is the same" in finding.cause for finding in extraction.findings)
    assert sum("(as at all.0, in the same structure)" in finding.cause for finding in extraction.findings) == 11


def test_of_many_choices_those_that_were_not_tried_are_named():
    widths = range(3, 3 + TRIED + 4)
    extraction = extract(randomized(Many(*widths)), Many(*widths), x=VECTORS)
    assert len(extraction.findings) == len(widths)
    untried = [finding for finding in extraction.findings if "the other way was not tried" in finding.cause]
    assert len(untried) == 4
    assert all(finding.severity == "note" and "hints:" in finding.fix for finding in untried)


class Added(nn.Module):
    """Branches of one shape, added under an activation each."""

    def __init__(self, called: str = "abc") -> None:
        super().__init__()
        self.called = called
        self.branches = nn.ModuleDict({name: nn.Linear(6, 4) for name in called})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = {name: self.branches[name](x) for name in self.called}
        return torch.relu(made["a"]) + torch.relu(made["b"]) + torch.tanh(made["c"])


@pytest.mark.parametrize("called", ["abc", "cba", "bca", "acb"])
def test_those_that_are_interchangeable_are_told_from_those_that_are_not(called: str):
    extraction = extract(randomized(Added()), Added(called), x=VECTORS)
    (finding,) = extraction.findings
    assert {finding.place, finding.layer} <= {"branches.a", "branches.b", "branches/a", "branches/b"}
    assert "branches/c" not in finding.cause + finding.fix
    assert str(extraction.plan["branches.c.weight"]) == "branches/c/weight"
    reasons = {one.layer: one.reason for one in extraction.evidence["branches.b.weight"].lost}
    other = ({"branches/a", "branches/b"} & set(reasons)).pop()
    assert "interchangeable: the function is the same" in reasons[other]
    assert "interchangeable" not in reasons["branches/c"]


def test_branches_of_two_layers_are_interchangeable_as_wholes():
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (nn.ModuleList(nn.Linear(*size) for _ in range(2)) for size in ((6, 4), (4, 3)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second[0](self.first[0](x).relu()) + self.second[1](self.first[1](x).relu())

    (finding,) = extract(randomized(Towers()), Towers(), x=VECTORS).findings
    assert finding.cause.startswith("first.0.weight, first.0.bias may be first/0 or first/1: the function is the same")


class Tasks(nn.Module):
    """Two towers of one shape on one input; or one of them."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        for name in names:
            self.add_module(name, nn.Linear(6, 4))
            self.add_module(f"{name}_out", nn.Linear(4, 3))

    def forward(self, x: torch.Tensor) -> Any:
        made = tuple(self.get_submodule(f"{n}_out")(torch.relu(self.get_submodule(n)(x))) for n in self.names)
        return made if len(made) > 1 else made[0]


def task(module: nn.Module, hints: dict[str, str] | None = None, **fit: OutputFit) -> Extraction:
    given = artifacts(randomized(Tasks("gender", "age")), module, {"x": VECTORS})
    fields = {name: getattr(given[Job], name) for name in ("model", "module", "inputs", "probe_samples")}
    stated = tuple(Hint(ours, keras) for ours, keras in (hints or {}).items())
    others = (value for key, value in given._kept.items() if key is not Job)
    return Extract().run(Artifacts(Job(**fields, hints=stated, fit=Fit(outputs=fit)), *others), Silent())


def test_a_module_that_may_be_one_part_of_keras_or_the_other_is_an_error_with_the_hint():
    extraction = task(Tasks("tower"))
    (error,) = (finding for finding in extraction.findings if finding.severity == "error")
    assert "tower.weight, tower.bias may be gender or age" in error.cause
    assert error.fix == 'settle it by `hints: {"tower": "gender"}`, or "age"'


@pytest.mark.parametrize(
    "stated",
    [{"hints": {"tower": "age"}}, {"hints": {"tower_out": "age_out"}}, {"output1": OutputFit(place="")}],
    ids=["the first layer", "the last layer", "the output"],
)
def test_a_hint_or_a_stated_output_tells_which_part_it_is(stated: dict[str, Any]):
    extraction = task(Tasks("tower"), **stated)
    assert [str(extraction.plan[f"tower{end}.weight"]) for end in ("", "_out")] == ["age/weight", "age_out/weight"]
    assert not [finding for finding in extraction.findings if finding.severity == "error"]


def test_a_name_may_tell_which_part_of_keras_a_module_is():
    extraction = task(Tasks("age"))
    assert str(extraction.plan["age.weight"]) == "age/weight"
    (note,) = (finding for finding in extraction.findings if "may be" in finding.cause)
    assert note.severity == "note"
    assert "taken by its name" in note.cause


def test_a_hint_that_values_contradict_is_not_followed():
    right = hinted(TwinHeads, {"a": "one"})
    assert str(right.plan["a.weight"]) == "one/weight"
    with pytest.raises(MappingError) as caught:
        hinted(TwinHeads, {"a": "two"})
    message = str(caught.value)
    assert caught.value.where == "job.yaml:1"
    assert "a is hinted to be two" in message
    assert "a.weight holds one/weight: values" in message


def test_a_hint_about_nothing_is_a_usage_error():
    with pytest.raises(UsageError, match=r"job\.yaml:1: the module has no key and no path c"):
        hinted(Twins, {"c": "one"})


class Sorted(nn.Module):
    """Equal branches on one input, whose places among the outputs alone tell which is which."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        for name in names:
            self.add_module(name, nn.Linear(6, 4))

    def forward(self, x: torch.Tensor) -> Any:
        made = {name: self.get_submodule(name)(x) for name in self.names}
        return tuple(made[name] for name in sorted(made))


def sorted_out(hints: tuple[Hint, ...] = ()) -> Extraction:
    given = artifacts(randomized(Sorted(*"bcdea")), Sorted(*"zxvwy"), {"x": VECTORS})
    job = given[Job]
    fields = {name: getattr(job, name) for name in ("model", "module", "inputs", "probe_samples")}
    others = (value for key, value in given._kept.items() if key is not Job)
    return Extract().run(Artifacts(Job(**fields, hints=hints), *others), Silent())


def test_a_previous_plan_spares_the_trials_that_found_it(monkeypatch: pytest.MonkeyPatch):
    trials: list[object] = []

    class Counted(retry.WhatIf):
        def __init__(self, *given: Any) -> None:
            trials.append(given)
            super().__init__(*given)

    monkeypatch.setattr(retry, "WhatIf", Counted)
    found = sorted_out()
    assert {key: str(found.plan[f"{key}.weight"]) for key in "vwxyz"} == {
        key: f"{layer}/weight" for key, layer in zip("vwxyz", "abcde", strict=True)
    }
    without = len(trials)
    assert without > 1
    trials.clear()
    again = sorted_out(hints_of_plan(found.plan, "plan"))
    assert again.plan == found.plan
    assert not trials


def test_a_previous_plan_of_another_mapping_is_contradicted():
    found = sorted_out()
    exchanged = {"v.weight": "b/weight", "w.weight": "a/weight"}
    with pytest.raises(MappingError, match="2 keys hold other variables than hints say") as caught:
        sorted_out(tuple(Hint(ours, keras, "plan.json") for ours, keras in exchanged.items()))
    assert f"v.weight holds {found.plan['v.weight']}: values" in str(caught.value)
