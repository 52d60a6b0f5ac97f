"""Parameters that enter glue directly, and layers that have two forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import assert_grafted, extract, images, randomized
from torchgraft.stages.errors import MappingError

WIDTH = 8
SERIES = images(3, 5, WIDTH)


class Tokens(nn.Module):
    """A class token, a position embedding, a LayerScale."""

    def __init__(self, how: str = "add") -> None:
        super().__init__()
        self.how = how
        self.position = nn.Parameter(torch.zeros(1, 6, WIDTH) if how != "embedding" else torch.zeros(6, WIDTH))
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.other = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.fc, self.gamma, self.norm = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.zeros(WIDTH)), nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        token = (self.token + self.other.tanh()).expand(3, 1, WIDTH)
        if self.how == "parts":  # the same, added piece by piece
            x = torch.cat([token + self.position[:, :1], x + self.position[:, 1:]], 1)
        else:
            x = torch.cat([token, x], 1)
            x = x + (F.embedding(torch.arange(6), self.position) if self.how == "embedding" else self.position)
        return self.norm(x + self.gamma * self.fc(x).tanh())[:, 0]


@pytest.mark.parametrize("theirs", ["add", "embedding", "parts"])
@pytest.mark.parametrize("ours", ["add", "embedding", "parts"])
def test_tokens_and_position_embeddings_are_placed_however_they_enter(theirs: str, ours: str) -> None:
    plan = assert_grafted(randomized(Tokens(theirs)), Tokens(ours), x=SERIES)
    assert plan["token"].startswith("token")
    assert plan["other"].startswith("other")
    assert plan["position"].startswith("position")
    assert plan["gamma"] == "gamma"


def test_a_parameter_of_the_modules_own_is_reported_with_its_key() -> None:
    class More(Tokens):
        def __init__(self) -> None:
            super().__init__()
            self.distilled = nn.Parameter(torch.zeros(1, 2, WIDTH))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + self.distilled.mean(1)

    with pytest.raises(MappingError, match="distilled"):
        extract(randomized(Tokens()), More(), x=SERIES)


class Scaled(nn.Module):
    """A LayerScale over channels, whose layout is the module's affair."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.conv, self.out = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 2, 3)
        self.scale = nn.Parameter(torch.ones(6) if last else torch.ones(6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = (x.permute(0, 2, 3, 1) * self.scale).permute(0, 3, 1, 2) if self.last else self.scale * x
        return self.out(x).flatten(1)


@pytest.mark.parametrize("last", [False, True])
def test_a_scale_of_channels_is_one_in_either_layout(last: bool) -> None:
    assert_grafted(randomized(Scaled(not last)), Scaled(last), x=images(3, 7, 6, 3))


class Windows(nn.Module):
    """Attention with a table of biases, read by positions."""

    def __init__(self, moved: bool = False) -> None:
        super().__init__()
        self.moved = moved
        self.q, self.v, self.norm = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        self.table = nn.Parameter(torch.zeros((2, 9) if moved else (9, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        q, v = (each.unflatten(-1, (2, 4)).transpose(1, 2) for each in (self.q(x), self.v(x)))
        index = torch.arange(5)[:, None] - torch.arange(5)[None, :] + 4
        bias = self.table[:, index] if self.moved else self.table[index].permute(2, 0, 1)
        return self.norm(((q @ q.mT + bias).softmax(-1) @ v).transpose(1, 2).flatten(2))[:, 0]


@pytest.mark.parametrize("moved", [False, True])
def test_a_table_of_biases_is_placed(moved: bool) -> None:
    plan = assert_grafted(randomized(Windows()), Windows(moved), x=SERIES)
    assert plan["q.weight"] == "q/weight"
    assert ("transpose" in plan["table"]) == moved


class Normed(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(3, 6, 3), norm, nn.Conv2d(6, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.conv(x))).flatten(1)


def test_an_instance_norm_is_a_group_norm_of_as_many_groups_as_channels() -> None:
    reference = randomized(Normed(nn.GroupNorm(6, 6, eps=1e-3)))
    plan = assert_grafted(reference, Normed(nn.InstanceNorm2d(6, eps=1e-3, affine=True)), x=images(3, 7, 6, 3))
    assert plan["norm.weight"] == "norm/weight"
    other = randomized(Normed(nn.GroupNorm(3, 6, eps=1e-3)))
    extraction = extract(other, Normed(nn.InstanceNorm2d(6, eps=1e-3, affine=True)), x=images(3, 7, 6, 3))
    assert [(found.severity, found.fix) for found in extraction.findings] == [("error", "use nn.GroupNorm(3, 6)")]


class RootMeanSquare(nn.Module):
    def __init__(self, by_hand: bool) -> None:
        super().__init__()
        self.by_hand, self.weight = by_hand, nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.by_hand:
            return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))
        return F.rms_norm(x, (WIDTH,), self.weight, 1e-5)


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_rms_norm_is_one_written_by_hand_or_not(by_hand: bool) -> None:
    def net(by_hand: bool) -> nn.Module:
        return nn.Sequential(nn.Linear(5, WIDTH), RootMeanSquare(by_hand), nn.Linear(WIDTH, 3))

    plan = assert_grafted(randomized(net(not by_hand)), net(by_hand), x=images(4, 5))
    assert plan["1.weight"] == "1/weight"


class Head(nn.Module):
    """The first layer behind a feature map: a Linear over it flattened, or a convolution that covers it."""

    def __init__(self, covers: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.covers, self.fc = covers, nn.Conv2d(4, 5, (5, 4)) if covers else nn.Linear(80, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).relu()
        return self.fc(x).flatten(1) if self.covers else self.fc(x.permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize("covers", [False, True])
def test_a_convolution_that_covers_its_input_is_a_linear_layer(covers: bool) -> None:
    assert_grafted(randomized(Head(not covers)), Head(covers), x=images(3, 7, 6, 3))


class Biased(nn.Module):
    """A bias of the layer's own, or one added by hand."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.own = own
        self.conv, self.fc = nn.Conv2d(3, 4, 3, bias=own), nn.Linear(80, 5, bias=own)
        if not own:
            self.b, self.c = nn.Parameter(torch.zeros(4, 1, 1)), nn.Parameter(torch.zeros(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = self.fc((x if self.own else x + self.b).relu().flatten(1))
        return x if self.own else self.c + x


@pytest.mark.parametrize("own", [False, True])
def test_a_bias_added_by_hand_is_the_layers_own(own: bool) -> None:
    plan = assert_grafted(randomized(Biased(not own)), Biased(own), x=images(3, 7, 6, 3))
    assert plan["fc.bias" if own else "c"] == ("c" if own else "fc/bias")


def test_the_bias_that_a_convolution_lacks_goes_into_the_running_mean_behind_it() -> None:
    def net(bias: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())

    reference, module = randomized(net(True)), net(False)
    plan = assert_grafted(reference, module, x=images(3, 7, 6, 3))
    assert plan["1.running_mean"] == "(1/running_mean - 0/bias)"
    extraction = extract(reference, module, x=images(3, 7, 6, 3))
    assert list(extraction.plan.arithmetic) == ["1.running_mean"]
    assert "takes in" in extraction.unaligned["0"]
    with pytest.raises(MappingError, match="0 has no bias"):
        between = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten())
        other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten())
        extract(randomized(other), between, x=images(3, 7, 6, 3))


def test_attention_whose_projections_stand_in_one_tensor_takes_it_apart() -> None:
    class Cross(nn.Module):
        def __init__(self, apart: bool) -> None:
            super().__init__()
            self.apart = apart
            if apart:
                self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
            else:
                self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            if not self.apart:
                made: torch.Tensor = self.attention(x.transpose(1, 2), y.transpose(1, 2), y.transpose(1, 2))[0]
                return made
            x, y = x.transpose(1, 2), y.transpose(1, 2)
            q, k, v = (each.unflatten(-1, (2, 4)).transpose(1, 2) for each in (self.q(x), self.k(y), self.v(y)))
            return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    inputs = {"x": SERIES, "y": np.random.default_rng(1).normal(size=(3, 7, WIDTH)).astype("float32")}
    plan = assert_grafted(randomized(Cross(True)), Cross(False), **inputs)
    assert plan["attention.in_proj_weight"].startswith("join(axis=0; q/weight, ")
