"""One function written in two ways is one operation, and its weights go through moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import extract, images, randomized, run
from torchgraft.stages.plan import Array, Transpose
from written_twice import CHANNELS_FIRST, PICTURES, Mine, Reference, assert_same, wanted


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    return randomized(Reference())


def assert_grafted(reference: nn.Module, module: nn.Module, pictures: Array) -> None:
    """Without a finding, and then one function; ``pictures`` are (N, H, W, C)."""
    extraction = extract(reference, module, x=pictures)
    assert not extraction.findings
    first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    with torch.no_grad():
        expected = reference(torch.from_numpy(first))
    assert_same(run(module, extraction, first), expected)


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
    assert_grafted(reference, module, pictures)


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
    assert_grafted(reference, module, pictures)


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
