"""A module that is not quite the Keras model: where the two part is named, and the rest is placed all the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import extract, images, randomized
from torchgraft.stages.errors import MappingError
from written_twice import PICTURES, Mine, Reference


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return randomized(Reference())


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


def test_an_operation_that_is_several_in_keras_graph_is_told_by_its_layer() -> None:
    class Shredded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.sigmoid(x)

    (finding,) = extract(
        randomized(pooled(nn.MaxPool2d(2), act=Shredded())), pooled(nn.MaxPool2d(2), act=nn.ELU()), x=images(3, 9, 9, 3)
    ).findings
    assert "in place of" not in finding.fix
    assert "Keras layer 1" in finding.fix or "Keras layer 2" in finding.fix


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
