"""Which operation of the user's module is which of the reference: found from the module as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import extract, images, randomized, run
from torchgraft.stages.errors import DifferenceError, MappingError, UnsupportedError
from torchgraft.stages.fit import InputFit
from torchgraft.stages.plan import Transpose


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal up to 1e-5 of the largest value: float32 sums of a few dozen terms in another order."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


class Reference(nn.Module):
    """Two parallel convolutions of one shape, a normalisation, a flatten: what most nets are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6, eps=1e-3)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.left = nn.Conv2d(6, 5, 3, padding=1)
        self.right = nn.Conv2d(6, 5, 3, padding=1)
        self.point = nn.Conv2d(10, 4, 1)
        self.fc = nn.Linear(4 * 4 * 3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.act(self.bn(self.conv1(x))))
        x = self.point(torch.cat([self.left(x).tanh(), self.right(x)], 1))
        return self.fc(torch.flatten(x, 1))


class Mine(nn.Module):
    """The same, as somebody else would write it."""

    def __init__(self, eps: float = 1e-3, act=torch.relu, last: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(48, 7)
        self.b = nn.Conv2d(6, 5, 3, padding="same")
        self.a = nn.Conv2d(6, 5, 3, padding="same")
        self.stem = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6, eps=eps))
        self.mix = nn.Linear(10, 4)
        self.act, self.last = act, last

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.act(self.stem(picture)), 2)
        x = torch.cat([self.a(x), torch.tanh(self.b(x))], 1)
        x = self.mix(x.permute(0, 2, 3, 1))  # the 1×1 convolution as a Linear over channels-last
        if not self.last:
            x = x.permute(0, 3, 1, 2)
        return self.head(x.reshape(x.shape[0], -1))


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return randomized(Reference())


PICTURES = images(5, 8, 6, 3)
CHANNELS_FIRST = np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2))


def wanted(reference: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        made: torch.Tensor = reference(torch.from_numpy(CHANNELS_FIRST))
    return made


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


def test_a_layer_called_twice_is_one_tensor_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.again = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(self.again(self.first(x).tanh()).relu())

    reference, module = randomized(Twice()), Twice()
    extraction = extract(reference, module, x=images(4, 6))
    assert str(extraction.plan["first.weight"]) == "first/weight"
    assert str(extraction.plan["again.weight"]) == "again/weight"

    class Apart(Twice):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.again(self.first(x).tanh()).relu())

    assert str(extract(reference, Apart(), x=images(4, 6)).plan["last.weight"]) == "first/weight"
    with pytest.raises(MappingError, match=r"of 6 keys|of 6 Keras") as failure:
        extract(randomized(Apart()), Twice(), x=images(4, 6))
    assert "last/weight" in str(failure.value)


def test_tied_keys_share_one_recipe() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.out = nn.Linear(6, 11, bias=False)
            self.out.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.table(ids).tanh())

    ids = np.arange(20, dtype="int32").reshape(4, 5) % 11
    plan = extract(randomized(Tied()), Tied(), ids=ids).plan
    assert plan.ties == (("table.weight", "out.weight"),)
    assert plan["table.weight"].equals(plan["out.weight"])

    class Untied(Tied):
        def __init__(self) -> None:
            super().__init__()
            self.out.weight = nn.Parameter(torch.zeros(11, 6))

    with pytest.raises(MappingError, match="is used twice, as table/weight and as out/weight"):
        extract(randomized(Untied()), Tied(), ids=ids)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_convolution_is_one_whether_it_crops_or_somebody_after_it(stride: int) -> None:
    class Crops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 4, stride=stride, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(x)

    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 4, stride=stride)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(x)[:, :, 1:-1, 1:-1]

    reference, module = randomized(Crops()), Cropped()
    pictures = images(2, 5, 6, 3)
    extraction = extract(reference, module, x=pictures)
    assert not extraction.findings
    first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = reference(torch.from_numpy(first))
    assert_same(run(module, extraction, first), expected)


def test_weights_held_in_other_forms_go_through_moves() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.scale = nn.Linear(6, 5), nn.Linear(5, 4), nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).tanh()) * self.scale

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(6, 5))
            self.w_bias = nn.Parameter(torch.zeros(5))
            self.v = nn.Parameter(torch.zeros(5, 4))
            self.v_bias = nn.Parameter(torch.zeros(4))
            self.gain = nn.Parameter(torch.ones(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.addmm(self.w_bias, x, self.w)
            return F.linear(x.tanh(), self.v.t(), self.v_bias) * self.gain

    reference, module, x = randomized(Plain()), ByHand(), images(4, 6)
    extraction = extract(reference, module, x=x)
    assert extraction.plan["w"].expression.move == Transpose((1, 0))
    with torch.no_grad():
        expected = reference(torch.from_numpy(x))
    assert_same(run(module, extraction, x), expected)


def test_a_module_that_works_in_place_is_aligned_and_compared_as_any_other(reference: nn.Module) -> None:
    class InPlace(Mine):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.stem(picture), inplace=True), 2)
            x = torch.cat([self.a(x), self.b(x).tanh_()], 1)
            return self.head(self.mix(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).flatten(1))

    module = InPlace()
    extraction = extract(reference, module, picture=PICTURES)
    assert_same(run(module, extraction, CHANNELS_FIRST), wanted(reference))
    places = {layer.boundary: layer.place for layer in extraction.layers}
    assert places["bn"] == "stem.2 (batch_norm)"
    assert places["act"] == "relu"


def test_what_keras_does_not_store_is_a_stated_constant() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3, bias=False)
            self.norm = nn.GroupNorm(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x))

    class WithBias(Bare):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3)

    plan = extract(randomized(Bare()), WithBias(), x=images(3, 9, 3)).plan
    assert str(plan["conv.bias"]) == "fill(0)"
    assert "Keras has no bias" in plan["conv.bias"].evidence[0]
    with pytest.raises(MappingError, match="conv has no bias"):
        extract(randomized(WithBias()), Bare(), x=images(3, 9, 3))


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


def test_a_wrong_activation_is_named_and_does_not_hide_the_rest(reference: nn.Module) -> None:
    extraction = extract(reference, Mine(act=torch.tanh), picture=PICTURES)
    (finding,) = extraction.findings
    assert finding.severity == "error"
    assert finding.cause == "after stem.2 (batch_norm) the module computes tanh, Keras computes relu"
    assert finding.fix == "use relu in place of tanh"
    assert (finding.place, finding.layer) == ("tanh", "act")
    right = extract(reference, Mine(), picture=PICTURES).plan
    assert {key: str(r) for key, r in extraction.plan.recipes.items()} == {
        key: str(r) for key, r in right.recipes.items()
    }


def test_an_activation_that_differs_on_large_values_only_is_an_error(reference: nn.Module) -> None:
    extraction = extract(reference, Mine(act=F.relu6), picture=PICTURES)
    (finding,) = extraction.findings
    assert finding.severity == "error"
    assert "differ on large or negative values only" in finding.cause
    assert "act" in extraction.unaligned  # ReLU6 is not the layer, though it looks like it on small values
    assert not extract(reference, Mine(act=F.relu), picture=PICTURES).findings


def test_an_epsilon_is_compared_and_named(reference: nn.Module) -> None:
    (finding,) = extract(reference, Mine(eps=1e-5), picture=PICTURES).findings
    assert (finding.place, finding.layer) == ("stem.2", "bn")
    assert finding.cause == "stem.2.eps is 1e-05, Keras has 0.001"
    assert finding.fix == "pass eps=0.001"


def test_a_stride_on_another_layer_is_an_error() -> None:
    def net(first: int, second: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=first), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=second))

    extraction = extract(randomized(net(2, 1)), net(1, 2), x=images(3, 11, 11, 3))
    assert any("stride is (1, 1), Keras has (2, 2)" in str(finding) for finding in extraction.findings)
    assert not extract(randomized(net(2, 1)), net(2, 1), x=images(3, 11, 11, 3)).findings


def test_a_missing_activation_at_the_end_is_named() -> None:
    reference = nn.Sequential(nn.Linear(6, 5), nn.Softmax(-1))
    (finding,) = extract(randomized(reference), nn.Sequential(nn.Linear(6, 5)), x=images(4, 6)).findings
    assert "the module gives what Keras has before softmax" in finding.cause


def test_all_unmapped_keys_are_in_one_report_with_the_nearest_candidates() -> None:
    reference = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.Linear(4, 4))
    with pytest.raises(MappingError) as failure:
        extract(randomized(reference), module, x=images(4, 6))
    report = str(failure.value)
    for key in module.state_dict():
        assert key in report
    assert "0/weight (5, 6)" in report
    assert "nearest" in report
    assert failure.value.exit_code == 6


class Counting(nn.Module):
    """Counts its calls, writes to a buffer, and branches on data: it is run again as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(6, 5), nn.Linear(5, 4), 0
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += 1
        x = self.a(x)
        if float(x.sum().detach()) > 1e9:
            x = x * 2
        return self.b(torch.relu(x))


def test_a_forward_that_branches_on_data_is_run_again_and_left_as_it_was() -> None:
    reference = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    module = Counting().train()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    extraction = extract(randomized(reference), module, x=images(4, 6))
    assert extraction.reading.how == "a recorded run"
    assert str(extraction.plan["b.weight"]) == "2/weight"
    assert module.training
    assert (module.calls, float(module.seen)) == (0, 0.0)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert not any(child._forward_hooks for child in module.modules())


def test_a_parameter_that_a_branching_forward_reads_itself_is_placed() -> None:
    class Own(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * self.gain

    class Gained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.scale = nn.Linear(6, 5), nn.Linear(5, 4), nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).relu()) * self.scale

    plan = extract(randomized(Gained()), Own(), x=images(4, 6)).plan
    assert {key: str(recipe) for key, recipe in plan.recipes.items()} == {
        "gain": "scale",
        **{key: key.replace(".", "/") for key in ("a.weight", "a.bias", "b.weight", "b.bias")},
    }


def test_a_module_that_cannot_be_read_is_refused_with_what_to_do() -> None:
    class Graduates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                x = x.clone().requires_grad_()
                return torch.autograd.grad(self.a(x).square().sum(), x)[0]

    with pytest.raises(UnsupportedError, match="without autograd") as failure:
        extract(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)), Graduates(), x=images(4, 6))
    assert failure.value.exit_code == 5
    assert "does not require grad" in str(failure.value)


def test_a_forward_that_draws_random_numbers_is_refused() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + torch.rand(5)

    with pytest.raises(DifferenceError, match="not deterministic"):
        extract(nn.Sequential(nn.Linear(6, 5)), Noisy(), x=images(4, 6))


def test_a_forward_that_fails_says_on_what() -> None:
    with pytest.raises(MappingError, match=r"forward fails on inputs of shape \(3, 6\)"):
        extract(nn.Sequential(nn.Linear(6, 5)), nn.Sequential(nn.Linear(7, 5)), x=images(4, 6))


def pooled(pool: nn.Module, padding: int = 1, act: nn.Module | None = None) -> nn.Module:
    between = [] if act is None else [act]
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=padding), *between, pool, nn.Conv2d(4, 5, 3))


def test_a_setting_that_differs_is_named_with_both_values() -> None:
    reference = pooled(nn.AvgPool2d(3, 1, 1, count_include_pad=False), act=nn.ReLU())
    (finding,) = extract(
        randomized(reference), pooled(nn.AvgPool2d(3, 1, 1), act=nn.ReLU()), x=images(3, 9, 9, 3)
    ).findings
    assert (finding.place, finding.layer) == ("2 (avg_pool2d)", "2")
    assert finding.cause == "count_include_pad is True, Keras has False"
    assert finding.fix == "pass count_include_pad=False"


def test_a_forgotten_activation_is_named() -> None:
    reference = pooled(nn.MaxPool2d(2), act=nn.Tanh())
    findings = extract(randomized(reference), pooled(nn.MaxPool2d(2)), x=images(3, 9, 9, 3)).findings
    assert any("tanh" in finding.cause for finding in findings)


def test_a_lopsided_padding_is_given_as_the_line_that_pads_so() -> None:
    reference = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, stride=2))
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1))
    (finding,) = extract(randomized(reference), module, x=images(3, 8, 8, 3)).findings
    assert finding.cause.startswith("it pads by ((1, 1), (1, 1)), Keras by ((0, 1), (0, 1))")
    assert "F.pad(x, (0, 1, 0, 1))" in finding.fix


def test_a_pooling_that_pads_otherwise_is_given_the_line_that_pads_as_keras_does() -> None:
    class Same(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)

    reference, module = pooled(Same(), padding=0), pooled(nn.MaxPool2d(3, 2, padding=1), padding=0)
    (finding,) = extract(randomized(reference), module, x=images(3, 12, 12, 3)).findings
    assert finding.place == "1 (max_pool2d)"
    assert "padding is (1, 1), Keras has" in finding.cause
    assert "F.pad(x, (0, 1, 0, 1), value=-inf)" in finding.fix


class Siamese(nn.Module):
    """One encoder on two inputs; its code is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 6))
        self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 3)


class CallsOnce(Siamese):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(x)
        return self.a(code), self.b(code)


class CallsTwice(Siamese):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a(self.encoder(x)), self.b(self.encoder(x))


@pytest.mark.parametrize(("theirs", "ours"), [(CallsOnce, CallsTwice), (CallsTwice, CallsOnce)])
def test_a_shared_layer_may_be_called_more_often_on_one_side(theirs: type[Siamese], ours: type[Siamese]) -> None:
    extraction = extract(randomized(theirs()), ours(), x=images(4, 8))
    assert not extraction.findings
    assert not extraction.unaligned
    assert {key: str(recipe) for key, recipe in extraction.plan.recipes.items()} == {
        key: key.replace(".", "/") for key in ours().state_dict()
    }


def test_a_forward_that_changes_what_it_computes_with_is_refused() -> None:
    class Drifts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)
            self.register_buffer("shift", torch.zeros(5), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.shift += 1
            return self.a(x) + self.shift

    with pytest.raises(DifferenceError, match="not deterministic"):
        extract(nn.Sequential(nn.Linear(6, 5)), Drifts(), x=images(4, 6))


@pytest.mark.parametrize("raises", ["raise ValueError('no')", "import sys; sys.exit(3)", "assert False"])
def test_what_a_forward_raises_is_told_with_its_line(tmp_path: Path, raises: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"def forward(x):\n    {raises}\n", encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), namespace)

    class Fails(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = namespace["forward"](x)
            return made

    with pytest.raises(MappingError, match=r"mine\.py:2") as failure:
        extract(nn.Sequential(nn.Linear(6, 5)), Fails(6, 5), x=images(4, 6))
    assert failure.value.exit_code == 6


def test_an_operation_that_is_several_in_keras_graph_is_told_by_its_layer() -> None:
    class Shredded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.sigmoid(x)

    (finding,) = extract(
        randomized(pooled(nn.MaxPool2d(2), act=Shredded())), pooled(nn.MaxPool2d(2), act=nn.ELU()), x=images(3, 9, 9, 3)
    ).findings
    assert "in place of" not in finding.fix
    assert "Keras layer 1" in finding.fix or "Keras layer 2" in finding.fix


def test_a_1_by_1_convolution_on_pooled_channels_may_be_a_linear() -> None:
    class Squeeze(nn.Module):
        def __init__(self, linear: bool) -> None:
            super().__init__()
            self.linear = linear
            make = nn.Linear if linear else (lambda i, o: nn.Conv2d(i, o, 1))
            self.a, self.b, self.out = make(6, 3), make(3, 6), nn.Conv2d(6, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scale = x.mean((2, 3), keepdim=not self.linear)
            scale = torch.sigmoid(self.b(F.relu(self.a(scale))))
            return self.out(x * (scale[:, :, None, None] if self.linear else scale))

    extraction = extract(randomized(Squeeze(False)), Squeeze(True), x=images(4, 7, 7, 6))
    assert not extraction.findings


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


def test_the_view_idiom_runs_on_what_torch_would_make() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.conv(x))
            return self.fc(x.view(x.size(0), -1))

    extraction = extract(randomized(Views()), Views(), x=images(3, 8, 8, 3))
    assert not extraction.findings
    assert "reorder" not in str(extraction.plan["fc.weight"])


def test_a_1_by_1_convolution_and_a_linear_agree_on_what_follows() -> None:
    class Points(nn.Module):
        def __init__(self, linear: bool) -> None:
            super().__init__()
            self.linear = linear
            self.point = nn.Linear(4, 6) if linear else nn.Conv2d(4, 6, 1)
            self.fc = nn.Linear(6 * 25, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.linear:
                return self.fc(self.point(x.permute(0, 2, 3, 1)).relu().permute(0, 3, 1, 2).flatten(1))
            return self.fc(self.point(x).relu().flatten(1))

    reference, module = randomized(Points(False)), Points(True)
    pictures = images(3, 5, 5, 4)
    extraction = extract(reference, module, x=pictures)
    assert not extraction.findings
    first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = reference(torch.from_numpy(first))
    assert_same(run(module, extraction, first), expected)


def test_a_variance_may_be_taken_the_root_of_in_another_way() -> None:
    class Standardize(nn.Module):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(shape))
            self.variance = nn.Parameter(torch.ones(shape))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - self.mean) / torch.sqrt(self.variance).clamp(min=1e-7)

    class ByHand(Standardize):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - self.mean) / self.variance.sqrt()

    plan = extract(Standardize((6,)), ByHand((1, 6)), x=images(4, 6)).plan
    assert [variable.path for variable in plan["variance"].variables] == ["variance"]
    assert [variable.path for variable in plan["mean"].variables] == ["mean"]


def test_a_counting_buffer_of_the_users_is_left_as_it_was() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 5)
            self.register_buffer("calls", torch.zeros(()), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.fc(x)

    module = Counts()
    extract(nn.Sequential(nn.Linear(6, 5)), module, x=images(4, 6))
    assert float(module.calls) == 0


def test_a_constant_buffer_of_the_modules_own_keeps_its_value_and_is_reported() -> None:
    class Subtracts(nn.Module):
        def __init__(self, own: bool) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 5)
            self.own = own
            if own:
                self.register_buffer("shift", torch.full((6,), 0.5))
                self.register_buffer("unread", torch.arange(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x - (self.shift if self.own else 0.5))

    extraction = extract(randomized(Subtracts(False)), Subtracts(True), x=images(4, 6))
    assert {left.name for left in extraction.plan.unmatched} == {"shift", "unread"}
    assert not extraction.findings
    wrong = Subtracts(True)
    wrong.shift += 1
    assert any(f.severity == "error" for f in extract(randomized(Subtracts(False)), wrong, x=images(4, 6)).findings)


def test_a_running_mean_without_a_counterpart_is_a_fault() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False))
    with pytest.raises(MappingError, match="running_mean"):
        extract(nn.Sequential(nn.Linear(6, 5)), module, x=images(4, 6))


def test_a_clamp_far_out_is_seen() -> None:
    class Clamps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(x).clamp(max=10.0)

    reference = pooled(nn.MaxPool2d(2), act=Clamps())
    findings = extract(randomized(reference), pooled(nn.MaxPool2d(2), act=nn.ReLU()), x=images(3, 9, 9, 3)).findings
    assert [finding.severity for finding in findings] == ["error"]


def test_a_module_fed_with_channels_last_is_told() -> None:
    class ChannelsLast(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 3, 1, 2))

    reference, pictures = randomized(nn.Sequential(nn.Conv2d(3, 4, 3))), images(3, 5, 6, 3)
    (finding,) = extract(reference, ChannelsLast(nn.Conv2d(3, 4, 3)), x=pictures).findings
    assert (finding.severity, finding.place) == ("note", "input x")
    assert not extract(reference, nn.Sequential(nn.Conv2d(3, 4, 3)), x=pictures).findings


@pytest.mark.parametrize("cut", [True, False])
def test_a_causal_convolution_may_pad_both_ends_and_cut_its_output(cut: bool) -> None:
    class Causal(nn.Module):
        def __init__(self, chomps: bool) -> None:
            super().__init__()
            self.chomps = chomps
            self.conv = nn.Conv1d(3, 4, 3, padding=2 if chomps else 0, dilation=1)
            self.last = nn.Conv1d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.chomps:
                x = self.conv(x)
                return self.last((x[..., :-2] if cut else x[..., 2:]).relu())
            return self.last(self.conv(F.pad(x, (2, 0))).relu())

    reference, module, series = randomized(Causal(False)), Causal(True), images(3, 12, 3)
    extraction = extract(reference, module, x=series)
    assert str(extraction.plan["conv.weight"]) == "conv/weight"
    if cut:
        first = np.ascontiguousarray(series.transpose(0, 2, 1))
        with torch.no_grad():
            expected = reference(torch.from_numpy(first))
        assert_same(run(module, extraction, first), expected)
        assert not extraction.findings
    else:  # cut at the wrong end
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
