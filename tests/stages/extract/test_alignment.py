"""Which operation of the user's module is which of the reference: found from the module as it is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import extract, images, randomized, run
from torchgraft.stages.fit import InputFit
from written_twice import CHANNELS_FIRST, PICTURES, Mine, Reference, assert_same, wanted


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return randomized(Reference())


@pytest.mark.parametrize("last", [False, True], ids=["flattened channels first", "flattened channels last"])
def test_a_module_written_otherwise_gives_the_references_outputs(reference: nn.Module, last: bool) -> None:
    module = Mine(last=last)
    extraction = extract(reference, module, picture=PICTURES)
    assert_same(run(module, extraction, CHANNELS_FIRST), wanted(reference))
    assert not extraction.findings
    assert not extraction.unaligned


def test_a_corrupted_tensor_is_seen_in_the_outputs(reference: nn.Module) -> None:
    module = Mine()
    extraction = extract(reference, module, picture=PICTURES)
    extraction.state["head.weight"][0, 0] += 1
    with pytest.raises(AssertionError):
        assert_same(run(module, extraction, CHANNELS_FIRST), wanted(reference))


def test_parallel_branches_of_one_shape_are_told_apart_by_what_follows(reference: nn.Module) -> None:
    plan = extract(reference, Mine(), picture=PICTURES).plan
    assert str(plan["b.weight"]) == "left/weight"
    assert str(plan["a.weight"]) == "right/weight"


def test_each_tensor_is_its_recipe_applied_bit_for_bit(reference: nn.Module) -> None:
    extraction = extract(reference, Mine(last=True), picture=PICTURES)
    values = {key.replace(".", "/"): tensor.numpy() for key, tensor in reference.state_dict().items() if tensor.dim()}
    for key, array in extraction.state.items():
        if recipe_variables := extraction.plan[key].variables:
            (variable,) = recipe_variables
            assert sorted(array.reshape(-1).tolist()) == sorted(values[variable.path].reshape(-1).tolist())
            assert array.tobytes() == extraction.plan[key].apply(values).tobytes()


def test_names_and_registration_order_do_not_matter(reference: nn.Module) -> None:
    plan = extract(reference, Mine(), picture=PICTURES).plan

    class Shuffled(Mine):
        def __init__(self) -> None:
            super().__init__()
            children = list(self._modules.items())
            self._modules.clear()
            self._modules.update(sorted(children, key=lambda item: item[0], reverse=True))

    again = extract(reference, Shuffled(), picture=PICTURES).plan
    assert {key: str(recipe) for key, recipe in plan.recipes.items()} == {
        key: str(recipe) for key, recipe in again.recipes.items()
    }


def test_a_module_that_takes_channels_last_is_found_out(reference: nn.Module) -> None:
    class ChannelsLast(Mine):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return super().forward(picture.permute(0, 3, 1, 2))

    module = ChannelsLast()
    extraction = extract(reference, module, picture=PICTURES)
    assert extraction.fit.inputs == {"picture": InputFit("picture", "n h w c -> n h w c")}
    assert_same(run(module, extraction, PICTURES), wanted(reference))


def test_several_inputs_are_given_by_name_and_several_outputs_found_by_value() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x, y = self.left(a), self.right(b)
            return x - y, x * y

    class Turned(Two):
        def forward(self, b: torch.Tensor, a: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
            difference, product = super().forward(a, b)
            return {"product": product, "extra": product.sum(1), "difference": difference}

    extraction = extract(randomized(Two()), Turned(), a=images(4, 6), b=images(4, 6) * 2)
    assert list(extraction.fit.inputs) == ["b", "a"]
    assert {name: fit.place for name, fit in extraction.fit.outputs.items()} == {
        "output0": "difference",
        "output1": "product",
    }

    class One(Two):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return super().forward(a, b)[0]

    extraction = extract(randomized(Two()), One(), a=images(4, 6), b=images(4, 6) * 2)
    assert extraction.not_given == {"output1": ""}
    assert "no output of the module is Keras' output1" in extraction.findings[0].cause


class Heads(nn.Module):
    """Two heads of one shape on one trunk: only the outputs tell them apart."""

    def __init__(self, names: tuple[str, str] = ("dense_1", "dense_2")) -> None:
        super().__init__()
        self.names = names
        self.trunk = nn.Linear(6, 8)
        for name in names:
            self.add_module(name, nn.Linear(8, 2))

    def codes(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.relu(self.trunk(x))
        return [self.get_submodule(name)(x) for name in self.names]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.codes(x))


class LastFirst(Heads):
    """Evaluated in the other order, returned in the same."""

    def codes(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.relu(self.trunk(x))
        second = self.get_submodule(self.names[1])(x)
        return [self.get_submodule(self.names[0])(x), second]


@pytest.mark.parametrize("kind", [Heads, LastFirst])
@pytest.mark.parametrize("names", [("fc2", "fc3"), ("fc3", "fc2"), ("fc1", "fc2")])
def test_equal_heads_are_told_apart_by_the_place_of_their_outputs(kind: type[Heads], names: tuple[str, str]) -> None:
    extraction = extract(randomized(Heads()), kind(names), x=images(4, 6))
    assert str(extraction.plan[f"{names[0]}.weight"]) == "dense_1/weight"
    assert str(extraction.plan[f"{names[1]}.weight"]) == "dense_2/weight"
    assert {name: fit.place for name, fit in extraction.fit.outputs.items()} == {"output0": "0", "output1": "1"}
    assert not extraction.findings


def test_a_gate_at_the_end_is_told_from_the_value_that_it_gates() -> None:
    class Gated(Heads):
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            value, gate = self.codes(x)
            return value * torch.sigmoid(gate)

    class GateFirst(Gated, LastFirst):
        pass

    plan = extract(randomized(Gated()), GateFirst(("a", "b")), x=images(4, 6)).plan
    assert str(plan["a.weight"]) == "dense_1/weight"


@pytest.mark.parametrize("turned", ["x.flip(1)", "x[:, [1, 0, 2, 3]]"])
def test_classes_in_another_order_are_no_match(turned: str) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = eval(turned, {"x": self.fc(x)})
            return made

    extraction = extract(nn.Sequential(nn.Linear(6, 4)), Turned(), x=images(4, 6))
    assert any(finding.severity == "error" for finding in extraction.findings)


def test_height_and_width_exchanged_in_the_output_are_no_match() -> None:
    class Exchanged(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).mT

    extraction = extract(
        randomized(nn.Sequential(nn.Conv2d(3, 4, 3))), Exchanged(nn.Conv2d(3, 4, 3)), x=images(3, 8, 8, 3)
    )
    assert any(finding.severity == "error" for finding in extraction.findings)


class Cell(nn.Module):
    """Branches of several layers that read the same and have the same shapes; only what they are added to differs."""

    def __init__(self, first: str = "a", second: str = "b") -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(8, 5, 1)
        for name in (first, second):
            block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
            setattr(self, name, block)
        self.order = (first, second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        branches = {name: getattr(self, name)(x) for name in self.order}
        return self.head(torch.cat([branches["a"] + x, branches["b"].relu()], 1))


def test_branches_of_several_layers_are_exchanged_as_wholes() -> None:
    reference = randomized(Cell())
    module = Cell("b", "a")  # runs the other branch first
    extraction = extract(reference, module, x=images(4, 6, 5, 3))
    assert not extraction.findings
    assert {str(extraction.plan[f"{name}.3.weight"]) for name in "a"} == {"a/3/weight"}
    assert str(extraction.plan["b.0.weight"]) == "b/0/weight"
