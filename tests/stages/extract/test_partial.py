"""Modules that have a part of the Keras model, or more than it; and hints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch_pairs import artifacts, images, randomized
from torchgraft.stages.base import Artifacts, Extraction, Job, Silent
from torchgraft.stages.errors import MappingError, UsageError
from torchgraft.stages.extract import Extract
from torchgraft.stages.fit import Fit, OutputFit


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
