"""How the module takes Keras' inputs: found from its signature and from values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import artifacts, extract, images, randomized
from torchgraft.stages.base import Extraction, Job, Silent
from torchgraft.stages.errors import MappingError, UsageError
from torchgraft.stages.extract import Extract
from torchgraft.stages.fit import Fit, InputFit

A, B = images(4, 6), images(4, 6) * 2


class Two(nn.Module):
    """Two inputs of one shape, each with a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.left(a) - self.right(b).tanh()


class Turned(Two):
    def forward(self, second, first):
        return super().forward(first, second)


class KeywordOnly(Two):
    def forward(self, *, b, a):
        return super().forward(a, b)


class Optional(Two):
    def forward(self, ids=None, b=None, flag=True, a=None):
        assert flag
        assert ids is None
        return super().forward(a, b)


class Variadic(Two):
    def forward(self, *both):
        return super().forward(*both)


class OneDict(Two):
    def forward(self, inputs):
        return super().forward(inputs["a"], inputs["b"])


class OneList(Two):
    def forward(self, inputs):
        first, second = inputs
        return super().forward(first, second)


class OneListTurned(Two):
    def forward(self, inputs):
        second, first = inputs
        return super().forward(first, second)


class AnyKeyword(Two):
    def forward(self, **inputs):
        return super().forward(inputs["a"], inputs["b"])


class Unnamed(Two):
    def forward(self, x, y, scale: float = 1.0):
        return super().forward(x, y) * scale


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (Two, {"a": "a", "b": "b"}),
        (Turned, {"second": "b", "first": "a"}),
        (KeywordOnly, {"b": "b", "a": "a"}),
        (Optional, {"b": "b", "a": "a"}),
        (Variadic, {"both.0": "a", "both.1": "b"}),
        (OneDict, {"inputs.a": "a", "inputs.b": "b"}),
        (OneList, {"inputs.0": "a", "inputs.1": "b"}),
        (OneListTurned, {"inputs.0": "b", "inputs.1": "a"}),
        (AnyKeyword, {"a": "a", "b": "b"}),
        (Unnamed, {"x": "a", "y": "b"}),
    ],
)
def test_arguments_of_every_kind_are_found(kind: type[Two], inputs: dict[str, str]) -> None:
    extraction = extract(randomized(Two()), kind(), a=A, b=B)
    assert {argument: fit.value for argument, fit in extraction.fit.inputs.items()} == inputs
    assert str(extraction.plan["left.weight"]) == "left/weight"
    assert not extraction.findings


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.fc = nn.Embedding(9, 5), nn.Linear(5, 3)

    def forward(self, token_ids: torch.Tensor, padding_mask: torch.Tensor) -> torch.Tensor:
        x = self.table(token_ids) * padding_mask[..., None].float()
        return self.fc(x.sum(1))


class OtherNames(Masked):
    def forward(self, attention_mask=None, position_ids=None, input_ids=None, use_cache=None):
        assert position_ids is None
        made = super().forward(input_ids, attention_mask)
        return made if use_cache is False else (made, object())


class Boolean(Masked):
    def forward(self, padding_mask, token_ids):
        x = torch.where(padding_mask[..., None], self.table(token_ids), 0.0)
        return self.fc(x.sum(1))


class Floating(Masked):
    def forward(self, token_ids, padding_mask):
        return self.fc(torch.bmm(padding_mask[:, None], self.table(token_ids))[:, 0])


TOKENS = np.arange(20, dtype="int32").reshape(4, 5) % 9
MASK = (np.arange(5) < np.array([[5], [3], [1], [4]])).astype("int32")


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (Masked, {"token_ids": ("token_ids", None), "padding_mask": ("padding_mask", None)}),
        (OtherNames, {"attention_mask": ("padding_mask", None), "input_ids": ("token_ids", None)}),
        (Boolean, {"padding_mask": ("padding_mask", "bool"), "token_ids": ("token_ids", None)}),
        (Floating, {"token_ids": ("token_ids", None), "padding_mask": ("padding_mask", "float32")}),
    ],
)
def test_names_that_mean_the_same_and_masks_of_other_dtypes_are_found(kind: type[Masked], inputs: Any) -> None:
    extraction = extract(randomized(Masked()), kind(), token_ids=TOKENS, padding_mask=MASK)
    assert {argument: (fit.value, fit.dtype) for argument, fit in extraction.fit.inputs.items()} == inputs
    assert "error" not in [finding.severity for finding in extraction.findings]


class Sequences(nn.Module):
    """A network over (N, T, F) that knows the axes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.norm, self.out = nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.step(x)).tanh().cumsum(1))


def turned(forth: Any, back: Any) -> nn.Module:
    class Other(Sequences):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forth(super().forward(back(x)))

    return Other()


@pytest.mark.parametrize("size", [7, 3], ids=["T is not F", "T is F"])
@pytest.mark.parametrize(
    ("module", "layout", "output"),
    [
        (Sequences(), "n t c -> n t c", "n t c -> n t c"),
        (turned(lambda y: y.mT, lambda x: x.mT), "n t c -> n c t", "n c t -> n t c"),
        (turned(lambda y: y.transpose(0, 1), lambda x: x.transpose(0, 1)), "n t c -> t n c", "t n c -> n t c"),
        (turned(lambda y: y, lambda x: x[:, 0]), "n t c -> n 1 t c", "n t c -> n t c"),
    ],
    ids=["as Keras", "channels first", "time first", "one more axis"],
)
def test_the_layout_of_a_sequence_is_found(module: nn.Module, layout: str, output: str, size: int) -> None:
    extraction = extract(randomized(Sequences()), module, x=images(4, size, 3), as_keras=True)
    assert extraction.fit.inputs["x"].layout == layout
    assert extraction.fit.outputs["output0"].layout == output
    assert "error" not in [finding.severity for finding in extraction.findings]


@pytest.mark.parametrize("bad", ["x.flip(1)", "x[..., [1, 0, 2]]"])
def test_another_order_of_the_input_is_no_layout(bad: str) -> None:
    module = turned(lambda y: y, lambda x: eval(bad, {"x": x}))
    findings = extract(randomized(Sequences()), module, x=images(4, 7, 3), as_keras=True).findings
    # An order of features goes into the weights; one of time steps is a fault.
    assert ("error" in [finding.severity for finding in findings]) == (bad == "x.flip(1)")


def test_an_input_that_the_module_wants_flat_or_without_its_channel_is_found() -> None:
    class Pictures(nn.Module):
        def __init__(self, back: Any) -> None:
            super().__init__()
            self.conv, self.back = nn.Conv2d(1, 4, 3), back

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.back(x)).flatten(1)

    reference = randomized(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()))
    pictures = images(3, 8, 7, 1)
    for back, layout in [
        (lambda x: x[:, None], "n h w 1 -> n h w"),
        (lambda x: x.reshape(-1, 1, 8, 7), "n h w 1 -> n h w"),
        (lambda x: x.unflatten(1, (1, 8, 7)), "n h w c -> n (h w c)"),
    ]:
        extraction = extract(reference, Pictures(back), x=pictures)
        assert not extraction.findings
        assert extraction.fit.inputs["x"].layout in (layout, "n h w c -> n c h w")


def stated(reference: nn.Module, module: nn.Module, fit: Fit, **inputs: np.ndarray) -> Extraction:
    found = artifacts(randomized(reference), module, inputs)
    found.add(replace(found[Job], fit=fit))
    return Extract().run(found, Silent())


def test_what_is_stated_is_taken() -> None:
    fit = Fit({"y": InputFit("a"), "x": InputFit("b")})

    class Swapped(Two):
        def forward(self, x, y):
            return super().forward(y, x)

    extraction = stated(Two(), Swapped(), fit, a=A, b=B)
    assert {argument: entry.value for argument, entry in extraction.fit.inputs.items()} == {"y": "a", "x": "b"}
    assert not extraction.findings


@pytest.mark.parametrize(
    ("fit", "match"),
    [
        (Fit({"z": InputFit("a")}), "'z'.*forward takes a, b"),
        (Fit({"a": InputFit("c")}), "'c'.*: a, b"),
        (Fit(outputs={"out": None}), "'out'.*output0"),
        (Fit({"a": InputFit(layout="n h w c -> n c h w"), "b": InputFit()}), "does not fit"),
    ],
)
def test_what_is_stated_of_nothing_is_a_usage_error(fit: Fit, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        stated(Two(), Two(), fit, a=A, b=B)


def test_what_is_stated_wrongly_is_contradicted_with_what_fits() -> None:
    extraction = stated(Two(), Two(), Fit({"a": InputFit("b"), "b": InputFit("a")}), a=A, b=B)
    errors = [finding for finding in extraction.findings if finding.severity == "error"]
    assert any("fit.inputs" in str(finding) and "a: {value: a}" in finding.fix for finding in errors)


def test_a_forward_that_takes_fewer_says_what_it_takes() -> None:
    class One(Two):
        def forward(self, a):
            return super().forward(a, a)

    with pytest.raises(MappingError, match=r"cannot take the Keras inputs a, b") as caught:
        extract(randomized(Two()), One(), a=A, b=B)
    assert "fit.inputs" in str(caught.value)


def test_entries_that_keras_does_not_name_are_told_once_each() -> None:
    class Renamed(Two):
        def forward(self, inputs):
            return super().forward(inputs["left"], inputs["right"])

    with pytest.raises(MappingError) as caught:
        extract(randomized(Two()), Renamed(), a=A, b=B)
    assert str(caught.value).count("KeyError: 'left'") == 1
    fit = Fit({"inputs.left": InputFit("a"), "inputs.right": InputFit("b")})
    assert not stated(randomized(Two()), Renamed(), fit, a=A, b=B).findings


def test_an_argument_that_no_input_is_for_is_to_be_stated() -> None:
    class Modal(Two):
        def forward(self, a, b, mode):
            return super().forward(a, b) if mode == "sum" else a

    with pytest.raises(MappingError, match="argument: 'mode'") as caught:
        extract(randomized(Two()), Modal(), a=A, b=B)
    assert "`fit: {options: {mode: …}}`" in str(caught.value)
    assert not stated(randomized(Two()), Modal(), Fit(options={"mode": "sum"}), a=A, b=B).findings
