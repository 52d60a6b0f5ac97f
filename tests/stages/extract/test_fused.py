"""Weights that one side holds in one tensor and the other in several, or in another order of their outputs."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import assert_grafted, extract, images, randomized
from torchgraft.stages.errors import MappingError

WIDTH, HEADS, STEPS = 12, 3, 5


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(N, T, WIDTH) each → the same, by HEADS heads side by side."""
    q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Apart(nn.Module):
    """Attention with q, k and v of its own, called in any order."""

    def __init__(self, called: str = "qkv", blocks: int = 1) -> None:
        super().__init__()
        self.called = called
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in (*called, "out")}) for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        for block in self.blocks:
            made = {name: block[name](x) for name in self.called}
            x = x + block["out"](attended(made["q"], made["k"], made["v"]))
        return x.transpose(1, 2)


class Fused(nn.Module):
    """q, k and v in one projection: one after the other, or those of each head side by side."""

    def __init__(self, parts: str = "qkv", by_head: bool = False, blocks: int = 1) -> None:
        super().__init__()
        self.parts, self.by_head = parts, by_head
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"all": nn.Linear(WIDTH, 3 * WIDTH), "out": nn.Linear(WIDTH, WIDTH)}) for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        for block in self.blocks:
            both = block["all"](x)
            if self.by_head:
                made = [both.unflatten(-1, (HEADS, 3, -1))[:, :, :, i].flatten(2) for i in range(3)]
            else:
                made = [both[..., i * WIDTH : (i + 1) * WIDTH] for i in range(3)]
            named = dict(zip(self.parts, made, strict=True))
            x = x + block["out"](attended(named["q"], named["k"], named["v"]))
        return x.transpose(1, 2)


SERIES = images(4, STEPS, WIDTH)


@pytest.mark.parametrize("called", ["".join(p) for p in itertools.permutations("qkv")])
def test_q_k_and_v_are_told_apart_by_what_attention_makes_of_them(called: str) -> None:
    plan = assert_grafted(randomized(Apart("qkv", 2)), Apart(called, 2), x=SERIES)
    assert {key: recipe for key, recipe in plan.items() if key.endswith("weight")} == {
        f"blocks.{i}.{name}.weight": f"blocks/{i}/{name}/weight" for i in range(2) for name in (*called, "out")
    }


@pytest.mark.parametrize("by_head", [False, True])
@pytest.mark.parametrize("parts", ["qkv", "kvq"])
def test_a_fused_projection_is_joined_of_three(parts: str, by_head: bool) -> None:
    plan = assert_grafted(randomized(Apart("qkv", 2)), Fused(parts, by_head, 2), x=SERIES)
    assert all(plan["blocks.1.all.weight"].count(f"blocks/1/{name}/weight") == 1 for name in "qkv")
    assert ("reorder" in plan["blocks.1.all.weight"]) == by_head


@pytest.mark.parametrize("by_head", [False, True])
@pytest.mark.parametrize("called", ["qkv", "vqk"])
def test_three_projections_are_parts_of_a_fused_one(called: str, by_head: bool) -> None:
    plan = assert_grafted(randomized(Fused("qkv", by_head, 2)), Apart(called, 2), x=SERIES)
    assert all("part" in plan[f"blocks.1.{name}.{slot}"] for name in "qkv" for slot in ("weight", "bias"))


def test_a_fused_projection_may_hold_its_parts_otherwise_than_another() -> None:
    assert_grafted(randomized(Fused("qkv", False)), Fused("vkq", True), x=SERIES)


def test_attention_that_scales_by_something_else_is_no_match() -> None:
    class Other(Fused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * 1.5)

    findings = extract(randomized(Apart()), Other(), x=SERIES).findings
    assert any(finding.severity == "error" for finding in findings)


class Gated(nn.Module):
    """A recurrent cell with four gates in one product of the input and one of the state, over five steps."""

    def __init__(self, gates: str = "ifgo", two_biases: bool = False, joined: bool = False) -> None:
        super().__init__()
        self.gates, self.joined = gates, joined
        if joined:
            self.both = nn.Linear(WIDTH + 4, 16)
        else:
            self.wx, self.wh = nn.Linear(WIDTH, 16), nn.Linear(4, 16, bias=two_biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = x[:, :4, 0] * 0
        for step in range(STEPS):
            read = x[:, :, step]
            made = self.both(torch.cat([read, h], 1)) if self.joined else self.wx(read) + self.wh(h)
            gate = {name: made[:, 4 * i : 4 * i + 4] for i, name in enumerate(self.gates)}
            c = gate["f"].sigmoid() * c + gate["i"].sigmoid() * gate["g"].tanh()
            h = gate["o"].sigmoid() * c.tanh()
        return h


@pytest.mark.parametrize("gates", ["ifgo", "iofg", "gfio"])
@pytest.mark.parametrize("two_biases", [False, True])
def test_gates_are_found_in_the_order_in_which_the_cell_takes_them(gates: str, two_biases: bool) -> None:
    plan = assert_grafted(randomized(Gated()), Gated(gates, two_biases), x=SERIES)
    assert ("reorder" in plan["wx.weight"]) == ("reorder" in plan["wh.weight"]) == (gates != "ifgo")
    if two_biases:
        assert plan["wh.bias"].startswith("fill(0)")


@pytest.mark.parametrize("gates", ["ifgo", "iofg"])
def test_the_input_and_the_state_may_be_joined(gates: str) -> None:
    plan = assert_grafted(randomized(Gated()), Gated(gates, joined=True), x=SERIES)
    assert "wx/weight" in plan["both.weight"]
    assert "wh/weight" in plan["both.weight"]
    assert plan["both.bias"].startswith("wx/bias")


class Decoder(nn.Module):
    """A vector becomes a feature map: read channel-first, or channel-last and turned."""

    def __init__(self, last: bool, norm: bool) -> None:
        super().__init__()
        self.last = last
        self.fc = nn.Linear(WIDTH, 6 * 4 * 3)
        self.bn = nn.BatchNorm1d(72) if norm else nn.Identity()
        self.up = nn.ConvTranspose2d(6, 5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.fc(x)).relu()
        x = x.view(-1, 4, 3, 6).permute(0, 3, 1, 2) if self.last else x.view(-1, 6, 4, 3)
        return self.up(x).flatten(1)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_vector_is_read_as_a_feature_map_in_either_order(last: bool, norm: bool) -> None:
    plan = assert_grafted(randomized(Decoder(not last, norm)), Decoder(last, norm), x=images(4, WIDTH))
    assert "reorder" in plan["fc.weight"]
    assert "reorder" in plan["fc.bias"]
    assert not norm or "reorder" in plan["bn.running_var"]


def test_a_shuffle_of_pixels_may_have_its_blocks_in_front_of_its_channels() -> None:
    class Up(nn.Module):
        def __init__(self, blocks_first: bool) -> None:
            super().__init__()
            self.conv, self.out, self.blocks_first = nn.Conv2d(3, 8, 3), nn.Conv2d(2, 4, 3), blocks_first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            if self.blocks_first:
                x = x.unflatten(1, (4, 2)).transpose(1, 2).flatten(1, 2)
            return self.out(F.pixel_shuffle(x, 2)).flatten(1)

    plan = assert_grafted(randomized(Up(True)), Up(False), x=images(3, 7, 6, 3))
    assert "reorder" in plan["conv.weight"]


@pytest.mark.parametrize("gates", ["ifgo", "iofg"])
@pytest.mark.parametrize("two_biases", [False, True])
def test_the_input_and_the_state_may_be_taken_apart(gates: str, two_biases: bool) -> None:
    plan = assert_grafted(randomized(Gated(joined=True)), Gated(gates, two_biases), x=SERIES)
    assert f"both/weight · part(0:{WIDTH}, axis=1)" in plan["wx.weight"]
    assert f"both/weight · part({WIDTH}:{WIDTH + 4}, axis=1)" in plan["wh.weight"]
    assert plan["wx.bias"].startswith("both/bias")
    assert not two_biases or plan["wh.bias"] == "fill(0)"


class Joined(nn.Module):
    """A convolution over two feature maps joined, a linear layer over a flattened one and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 5, 3)
        self.conv, self.out = nn.Conv2d(9, 6, 3, stride=2), nn.Linear(6 * 2 * 3 + 3, 7)

    def both(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([self.a(x).relu(), self.b(x)], 1)).relu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat([self.both(x).permute(0, 2, 3, 1).flatten(1), x.mean((2, 3))], 1))


class Added(Joined):
    """The same, each of them as two whose outputs are added."""

    def __init__(self, sign: int = 1, biases: int = 1) -> None:
        super().__init__()
        del self.conv, self.out
        self.of_a, self.of_b = nn.Conv2d(4, 6, 3, stride=2, bias=biases > 0), nn.Conv2d(5, 6, 3, stride=2, bias=False)
        self.of_map, self.of_mean, self.sign = nn.Linear(36, 7), nn.Linear(3, 7, bias=biases > 1), sign

    def both(self, x: torch.Tensor) -> torch.Tensor:
        return (self.of_b(self.b(x)) + self.sign * self.of_a(self.a(x).relu())).relu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.of_mean(x.mean((2, 3))) + self.of_map(self.both(x).flatten(1))


def test_a_layer_over_joined_inputs_is_the_sum_of_one_layer_for_each() -> None:
    plan = assert_grafted(randomized(Joined()), Added(biases=2), x=images(4, 8, 10, 3))
    assert plan["of_a.weight"] == "conv/weight · part(0:4, axis=1)"
    assert plan["of_b.weight"] == "conv/weight · part(4:9, axis=1)"
    assert plan["of_a.bias"] == "conv/bias"
    assert plan["of_map.weight"].startswith("out/weight · part(0:36, axis=1) · reorder")
    assert {plan["of_map.bias"], plan["of_mean.bias"]} == {"out/bias", "fill(0)"}


def test_a_difference_of_two_layers_is_no_layer_over_joined_inputs() -> None:
    findings = extract(randomized(Joined()), Added(sign=-1), x=images(4, 8, 10, 3)).findings
    assert any(finding.severity == "error" for finding in findings)


def test_a_bias_that_no_term_has_a_place_for_is_named() -> None:
    with pytest.raises(MappingError, match=r"conv/bias \(6,\): of_[ab] has no bias"):
        extract(randomized(Joined()), Added(biases=0), x=images(4, 8, 10, 3))


class Heads(nn.Module):
    """Heads with q, k and v of their own, called head by head or kind by kind."""

    def __init__(self, kinds: str = "qkv", *, by_kind: bool = False, scale: float = 0.5) -> None:
        super().__init__()
        calls = [(head, kind) for head in range(HEADS) for kind in kinds]
        self.calls = sorted(calls, key=lambda call: kinds.index(call[1])) if by_kind else calls
        self.layers = nn.ModuleList(nn.Linear(WIDTH, 4) for _ in calls)
        self.out, self.scale = nn.Linear(4 * HEADS, 5), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        made = {call: self.layers[position](x) for position, call in enumerate(self.calls)}
        scores = [made[head, "q"] @ made[head, "k"].transpose(1, 2) * self.scale for head in range(HEADS)]
        return self.out(torch.cat([scores[head].softmax(-1) @ made[head, "v"] for head in range(HEADS)], -1))


@pytest.mark.parametrize("kinds", ["qkv", "kqv", "vqk"])
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_heads_of_their_own_are_found_in_any_order_of_their_projections(kinds: str, ours: bool, theirs: bool) -> None:
    plan = assert_grafted(randomized(Heads(by_kind=theirs)), Heads(kinds, by_kind=ours), x=SERIES)
    assert len({plan[f"layers.{position}.weight"] for position in range(3 * HEADS)}) == 3 * HEADS


def test_heads_that_scale_otherwise_are_no_match() -> None:
    findings = extract(randomized(Heads()), Heads("vqk", scale=0.7), x=SERIES).findings
    assert any(finding.severity == "error" for finding in findings)
