"""Modules that have a part of the Keras model, or more than it; and hints."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import artifacts, extract, images, randomized
from torchgraft.stages.base import Artifacts, Extraction, Job, Silent
from torchgraft.stages.errors import MappingError, UsageError
from torchgraft.stages.extract import Extract
from torchgraft.stages.extract.guesses import TRIED
from torchgraft.stages.fit import Fit, OutputFit
from torchgraft.stages.hints import Hint


class Whole(nn.Module):
    """Features, a pooled code, a classifier, and an auxiliary one on an inner value."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(6, 8, 3)
        self.pool = nn.Flatten()
        self.head, self.aux = nn.Linear(8 * 9, 5), nn.Linear(6 * 25, 4)

    def code(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inner = self.act(self.norm(self.first(x)))
        return self.pool(self.second(inner)), inner

    def forward(self, x: torch.Tensor) -> Any:
        code, inner = self.code(x)
        return self.head(code), self.aux(torch.flatten(inner, 1))


class Classifier(Whole):
    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.code(x)[0])


def without(kind: type[Whole], *names: str) -> nn.Module:
    module = kind()
    for name in names:
        delattr(module, name)
    return module


PICTURES = images(4, 7, 7, 3)


def extracted(reference: nn.Module, module: nn.Module, **stated: Any) -> Extraction:
    given = artifacts(randomized(reference), module, {"x": PICTURES})
    job = given[Job]
    fields = {name: getattr(job, name) for name in ("model", "module", "inputs", "probe_samples")}
    return Extract().run(
        Artifacts(Job(**{**fields, **stated}), *(value for kind, value in given._kept.items() if kind is not Job)),
        Silent(),
    )


class Backbone(Whole):
    def forward(self, x: torch.Tensor) -> Any:
        return self.code(x)[0]


def test_a_backbone_leaves_what_is_behind_it_and_is_compared_on_what_it_gives():
    extraction = extracted(without(Classifier, "aux"), without(Backbone, "head", "aux"))
    left = {one.name: one.reason for one in extraction.plan.unused}
    assert left == dict.fromkeys(
        ("head/weight", "head/bias"), "Keras layer head is not needed for what the module gives (pool)"
    )
    assert extraction.not_given == {"output0": "pool"}
    assert set(extraction.fit.outputs) == {"pool"}
    assert [finding.severity for finding in extraction.findings] == ["warning"]


def test_a_backbone_that_lacks_a_layer_in_the_middle_is_refused():
    class Skips(Backbone):
        def forward(self, x: torch.Tensor) -> Any:
            return self.pool(self.second(self.act(self.first(x))))

    with pytest.raises(MappingError, match="have no key") as caught:
        extracted(without(Classifier, "aux"), without(Skips, "head", "aux", "norm"))
    assert "norm/weight" in str(caught.value)


class Repeated(nn.Module):
    """A last layer that keeps the shape."""

    def __init__(self, *, last: bool = True) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 5)
        self.out = nn.Linear(5, 5) if last else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.relu(self.first(x)))
        return x if self.out is None else self.out(x)


VECTORS = images(4, 6)


def repeated(**outputs: OutputFit) -> Extraction:
    given = artifacts(randomized(Repeated()), Repeated(last=False), {"x": VECTORS})
    job = replace(given[Job], fit=Fit(outputs=outputs))
    others = (value for kind, value in given._kept.items() if kind is not Job)
    return Extract().run(Artifacts(job, *others), Silent())


def test_a_forgotten_last_layer_that_keeps_the_shape_is_refused_with_the_line_that_states_it():
    with pytest.raises(MappingError, match="the module ends before Keras does: it gives what Keras layer") as caught:
        repeated()
    assert "`fit: outputs: output0: {value: second}`" in str(caught.value)
    assert caught.value.exit_code == 6


def test_a_last_layer_left_out_by_statement_is_a_partial_target():
    extraction = repeated(output0=OutputFit(value="second"))
    assert {one.name for one in extraction.plan.unused} == {"out/weight", "out/bias"}
    assert extraction.not_given == {"output0": "second"}
    assert [finding.severity for finding in extraction.findings] == ["note"]


def test_a_stated_end_that_the_values_contradict_is_an_error():
    extraction = repeated(output0=OutputFit(value="first"))
    assert [finding.severity for finding in extraction.findings] == ["error"]
    assert "what Keras layer first gives, and by its values it does not" in extraction.findings[0].cause
    with pytest.raises(UsageError, match=r"fit\.outputs\.output0\.value: there is no 'secon'") as caught:
        repeated(output0=OutputFit(value="secon"))
    assert "write second" in str(caught.value)


def test_an_auxiliary_output_that_the_module_lacks_is_left_over():
    extraction = extracted(Whole(), without(Classifier, "aux"))
    assert {one.name for one in extraction.plan.unused} == {"aux/weight", "aux/bias"}
    assert extraction.not_given == {"output1": ""}
    assert set(extraction.fit.outputs) == {"output0"}
    (finding,) = extraction.findings
    assert finding.severity == "warning"
    assert "output1" in finding.cause


def test_an_output_that_departs_is_no_reason_to_leave_anything_over():
    class Doubles(Classifier):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x) ** 3

    with pytest.raises(MappingError, match="have no key"):
        extracted(Whole(), without(Doubles, "aux"))


class NewHead(Whole):
    """Another number of classes, behind a hidden layer."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        del self.aux
        self.head = nn.Sequential(nn.Linear(8 * 9, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, classes))

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.code(x)[0])


def test_a_new_head_keeps_its_values_and_what_it_reads_is_compared():
    module = NewHead()
    extraction = extracted(without(Classifier, "aux"), module, allow_unmatched=("head.*",))
    kept = {one.name: one.reason for one in extraction.plan.unmatched}
    assert set(kept) == {key for key in module.state_dict() if key.startswith("head")}
    assert set(kept.values()) == {"allow_unmatched head.*: it keeps the module's own value"}
    assert {one.name for one in extraction.plan.unused} == {"head/weight", "head/bias"}
    assert extraction.ends == ("pool",)
    assert extraction.not_given == {"output0": ""}
    assert [finding.severity for finding in extraction.findings] == ["note"]
    assert set(extraction.state) | set(kept) == set(module.state_dict())


def test_without_being_stated_a_new_head_is_refused():
    with pytest.raises(MappingError, match=r"8 of 18 keys have no Keras variable") as caught:
        extracted(without(Classifier, "aux"), NewHead())
    assert 'allow_unmatched: ["head.*"]' in str(caught.value)


def test_a_stated_head_is_left_alone_also_where_its_shape_is_keras():
    class Renewed(Classifier):
        pass

    extraction = extracted(without(Classifier, "aux"), without(Renewed, "aux"), allow_unmatched=("head",))
    assert {one.name for one in extraction.plan.unmatched} == {"head.weight", "head.bias"}
    assert extraction.ends == ("pool",)


def test_a_new_head_behind_a_departure_is_no_success():
    class Departs(NewHead):
        def code(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            inner = torch.tanh(self.norm(self.first(x)))
            return self.pool(self.second(inner)), inner

    extraction = extracted(without(Classifier, "aux"), Departs(), allow_unmatched=("head.*",))
    assert "error" in [finding.severity for finding in extraction.findings]


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


def test_of_many_equal_branches_those_that_were_not_tried_are_named():
    class Many(nn.Module):
        def __init__(self, count: int = 24) -> None:
            super().__init__()
            self.all = nn.ModuleList(nn.Linear(6, 4) for _ in range(count))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pairs = zip(self.all[::2], self.all[1::2], strict=True)
            return torch.cat(
                [torch.relu(one(x * n)) + torch.relu(two(x * n)) for n, (one, two) in enumerate(pairs, 1)], 1
            )

    extraction = extract(randomized(Many()), Many(), x=VECTORS)
    assert len(extraction.findings) == 12
    untried = [finding for finding in extraction.findings if "the other way was not tried" in finding.cause]
    assert len(untried) == 12 - TRIED
    assert all(finding.severity == "note" and "hints:" in finding.fix for finding in untried)


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
