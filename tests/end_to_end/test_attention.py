"""Keras' attention layers and their options onto users' modules (the common ways stand in tests/zoo)."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import torch
import torchgraft
from end_to_end.grafting import assert_grafted
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

WIDTH, HEADS, SIZE, QUERIES, KEYS = 8, 2, 4, 6, 5


def sequence(name: str, width: int = WIDTH, steps: int = QUERIES) -> keras.KerasTensor:
    return keras.Input((steps, width), name=name)


def model_of(inputs: list[keras.KerasTensor], result: keras.KerasTensor) -> keras.Model:
    return randomised(keras.Model(inputs, result))


def of_other_widths(value_dim: int = SIZE, out: int | None = None) -> keras.Model:
    """Key and value of other widths than the query."""
    query, value, key = sequence("query"), sequence("value", 7, KEYS), sequence("key", 3, KEYS)
    attention = layers.MultiHeadAttention(HEADS, SIZE, value_dim=value_dim, output_shape=out)
    return model_of([query, value, key], attention(query, value, key=key))


def masked() -> keras.Model:
    """A mask of one's own, an input."""
    query, value = sequence("query"), sequence("value", steps=KEYS)
    mask = keras.Input((QUERIES, KEYS), dtype="bool", name="mask")
    y = layers.MultiHeadAttention(HEADS, SIZE)(query, value, attention_mask=mask)
    return model_of([query, value, mask], y)


def given_masks(model: keras.Model, seed: int) -> dict[str, np.ndarray]:
    """Each query may look at one key at least."""
    made = inputs_for(model, 4, seed)
    if "mask" in made:
        allowed = np.random.default_rng(seed).random((4, QUERIES, KEYS)) < 0.5
        allowed[..., 0] |= ~allowed.any(-1)
        made["mask"] = allowed
    return made


def causal() -> keras.Model:
    query = sequence("query")
    return model_of([query], layers.MultiHeadAttention(HEADS, SIZE)(query, query, use_causal_mask=True))


def grouped_and_causal() -> keras.Model:
    query = sequence("query")
    return model_of([query], layers.GroupQueryAttention(SIZE, 4, 2)(query, query, use_causal_mask=True))


def scored(kind: type[layers.Layer], **options: object) -> keras.Model:
    """Attention and AdditiveAttention between projections, with their own scale."""
    query, value = sequence("query"), sequence("value", steps=KEYS)
    parts = [layers.Dense(5, name="q")(query), layers.Dense(5, name="v")(value)]
    return model_of([query, value], kind(**options)(parts))


class OtherWidths(nn.Module):
    """nn.MultiheadAttention with kdim and vdim: three projections of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, kdim=3, vdim=7, batch_first=True)

    def forward(self, query: torch.Tensor, value: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return self.attention(query, key, value, need_weights=False)[0]


class Separate(nn.Module):
    """Four Linears and F.scaled_dot_product_attention; queries, keys and values of any width."""

    def __init__(
        self, widths: tuple[int, int, int], value_dim: int = SIZE, out: int = WIDTH, kv_heads: int = 0
    ) -> None:
        super().__init__()
        heads = 4 if kv_heads else HEADS
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.q = nn.Linear(widths[0], heads * SIZE)
        self.k = nn.Linear(widths[1], self.kv_heads * SIZE)
        self.v = nn.Linear(widths[2], self.kv_heads * value_dim)
        self.o = nn.Linear(heads * value_dim, out)

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object) -> torch.Tensor:
        q = self.q(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (
            each.unflatten(-1, (self.kv_heads, -1)).transpose(1, 2).repeat_interleave(self.heads // self.kv_heads, 1)
            for each in (self.k(key), self.v(value))
        )
        return self.o(scaled_dot_product_attention(q, k, v, **options).transpose(1, 2).flatten(2))

    def forward(self, query: torch.Tensor, value: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return self.attend(query, key, value)


class UnderMask(Separate):
    def __init__(self) -> None:
        super().__init__((WIDTH, WIDTH, WIDTH))

    def forward(self, query: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.attend(query, value, value, attn_mask=mask.unsqueeze(1))


class TorchsUnderMask(nn.Module):
    """nn.MultiheadAttention, whose mask says where it must *not* look."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, query: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.attention(query, value, value, attn_mask=~mask.repeat_interleave(HEADS, 0), need_weights=False)[0]


class Causal(Separate):
    def __init__(self, kv_heads: int = 0) -> None:
        super().__init__((WIDTH, WIDTH, WIDTH), kv_heads=kv_heads)

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        return self.attend(query, query, query, is_causal=True)


class TorchsCausal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        later = nn.Transformer.generate_square_subsequent_mask(query.shape[1])
        return self.attention(query, query, query, attn_mask=later, is_causal=True, need_weights=False)[0]


class Dotted(nn.Module):
    """Luong's attention, scaled by one number that it has learned."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.q, self.v, self.scale = nn.Linear(WIDTH, 5), nn.Linear(WIDTH, 5), nn.Parameter(torch.ones(shape))

    def scores(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.scale * (q @ v.transpose(1, 2))

    def forward(self, query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, v = self.q(query), self.v(value)
        return self.scores(q, v).softmax(-1) @ v


class ScaledBefore(Dotted):
    """The queries are scaled, not the scores."""

    def scores(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bqd,bkd->bqk", q * self.scale, v) if self.scale.dim() else (q * self.scale) @ v.mT


class Added(Dotted):
    """Bahdanau's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def scores(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (self.scale * torch.tanh(q.unsqueeze(2) + v.unsqueeze(1))).sum(-1)


class AddedByLinear(Added):
    """The same, its scale a Linear without a bias, as it is mostly written."""

    def __init__(self) -> None:
        super().__init__()
        del self.scale
        self.scale = nn.Linear(5, 1, bias=False)

    def scores(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.scale(torch.tanh(q.unsqueeze(2) + v.unsqueeze(1))).squeeze(-1)


PAIRS: dict[str, tuple[Callable[[], keras.Model], Callable[[], nn.Module]]] = {
    "kdim and vdim of nn.MultiheadAttention": (of_other_widths, OtherWidths),
    "another value_dim and output": (lambda: of_other_widths(3, 9), lambda: Separate((WIDTH, 3, 7), 3, 9)),
    "a mask, F.scaled_dot_product_attention": (masked, UnderMask),
    "a mask, nn.MultiheadAttention": (masked, TorchsUnderMask),
    "causal, F.scaled_dot_product_attention": (causal, Causal),
    "causal, nn.MultiheadAttention": (causal, TorchsCausal),
    "grouped and causal, keys repeated": (grouped_and_causal, lambda: Causal(2)),
    "Attention with its scale": (lambda: scored(layers.Attention, use_scale=True), Dotted),
    "Attention with its scale, a vector of one": (
        lambda: scored(layers.Attention, use_scale=True),
        lambda: Dotted((1,)),
    ),
    "Attention, its queries scaled": (lambda: scored(layers.Attention, use_scale=True), ScaledBefore),
    "Attention, its queries scaled by a vector of one, einsum": (
        lambda: scored(layers.Attention, use_scale=True),
        lambda: ScaledBefore((1,)),
    ),
    "AdditiveAttention": (lambda: scored(layers.AdditiveAttention), Added),
    "AdditiveAttention, a Linear": (lambda: scored(layers.AdditiveAttention), AddedByLinear),
}


def graft(model: keras.Model, module: nn.Module) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=given_masks(model, 3))


@pytest.mark.parametrize("name", PAIRS)
def test_an_option_of_attention_onto_a_module_that_has_it(name: str) -> None:
    make, write = PAIRS[name]
    assert_grafted(make(), write(), given_masks)


def test_a_module_that_looks_ahead_is_not_verified_and_told_of_the_mask() -> None:
    class Everywhere(Causal):
        def forward(self, query: torch.Tensor) -> torch.Tensor:
            return self.attend(query, query, query)

    conversion = graft(causal(), Everywhere())
    assert not conversion.verified
    assert "use_causal_mask=True" in conversion.findings[0].cause
    assert "is_causal=True" in conversion.findings[0].fix


@pytest.mark.parametrize(("scale", "told"), [(SIZE**-0.5, ""), (1.0, "by 1, "), (WIDTH**-0.5, "by 0.353553, ")])
def test_the_scale_of_the_scores_is_told(scale: float, told: str) -> None:
    class Scaled(Separate):
        def forward(self, query: torch.Tensor) -> torch.Tensor:
            q, k, v = (each(query).unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (self.q, self.k, self.v))
            return self.o((torch.softmax(scale * (q @ k.mT), -1) @ v).transpose(1, 2).flatten(2))

    query = sequence("query")
    conversion = graft(
        model_of([query], layers.MultiHeadAttention(HEADS, SIZE)(query, query)), Scaled((WIDTH, WIDTH, WIDTH))
    )
    assert conversion.verified is not bool(told)
    assert not told or f"the module multiplies the scores {told}" in conversion.findings[0].cause


def test_a_scale_on_both_sides_of_the_scores_is_not_verified() -> None:
    class Squared(Dotted):
        def scores(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return (q * self.scale) @ (v * self.scale).mT

    assert not graft(scored(layers.Attention, use_scale=True), Squared()).verified


def encoder(activation: str, norm_first: bool) -> keras.Model:
    x = given = sequence("query")

    def norm(value: keras.KerasTensor) -> keras.KerasTensor:
        return layers.LayerNormalization(epsilon=1e-5)(value)

    y = norm(x) if norm_first else x
    x = x + layers.MultiHeadAttention(HEADS, SIZE)(y, y)
    x = x if norm_first else norm(x)
    y = norm(x) if norm_first else x
    x = x + layers.Dense(WIDTH)(layers.Dense(12, activation=activation, name="inner")(y))
    return model_of([given], x if norm_first else norm(x))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_torchs_encoder_layer(activation: str, norm_first: bool) -> None:
    options = {"dim_feedforward": 12, "batch_first": True, "norm_first": norm_first}
    module = nn.TransformerEncoderLayer(WIDTH, HEADS, activation=activation, **options)
    assert_grafted(encoder(activation, norm_first), module)
    other = nn.TransformerEncoderLayer(WIDTH, HEADS, activation={"relu": "gelu", "gelu": "relu"}[activation], **options)
    conversion = graft(encoder(activation, norm_first), other)
    assert not conversion.verified
    assert any(finding.layer == "inner" and activation in str(finding).lower() for finding in conversion.findings)


class Classifier(nn.Module):
    """Two of torch's encoder layers as they are where nothing is said: samples second; the mean over ``axis``."""

    def __init__(self, axis: int, *, batch_first: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 12, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head, self.axis = nn.Linear(WIDTH, 3), axis

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(query).mean(self.axis))


def classifier() -> keras.Model:
    x = given = sequence("query")
    for _ in range(2):
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.MultiHeadAttention(HEADS, SIZE)(x, x))
        x = layers.LayerNormalization(epsilon=1e-5)(x + layers.Dense(WIDTH)(layers.Dense(12, activation="relu")(x)))
    return model_of([given], layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def test_an_encoder_that_takes_its_samples_second_is_fed_so() -> None:
    conversion = graft(classifier(), Classifier(0))
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert conversion.fit.inputs["query"].layout == "n t c -> t n c"
    first = graft(classifier(), Classifier(1, batch_first=True))
    for key, tensor in first.state_dict.items():
        assert torch.equal(conversion.state_dict[key], tensor), key


def test_an_encoder_that_mixes_the_samples_is_told_to_take_them_first() -> None:
    conversion = graft(classifier(), Classifier(1))
    assert not conversion.verified
    assert "pass batch_first=True to encoder.layers.0.self_attn" in conversion.findings[0].fix


def test_torchs_decoder_layer() -> None:
    x, memory = sequence("query"), sequence("memory", steps=KEYS)
    norm = [layers.LayerNormalization(epsilon=1e-5) for _ in range(3)]
    y = norm[0](x + layers.MultiHeadAttention(HEADS, SIZE)(x, x, use_causal_mask=True))
    y = norm[1](y + layers.MultiHeadAttention(HEADS, SIZE)(y, memory))
    y = norm[2](y + layers.Dense(WIDTH)(layers.Dense(12, activation="relu")(y)))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 12, batch_first=True)

        def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
            later = nn.Transformer.generate_square_subsequent_mask(query.shape[1])
            return self.layer(query, memory, tgt_mask=later, tgt_is_causal=True)

    assert_grafted(model_of([x, memory], y), Decoder())


class ByEinsum(nn.Module):
    """The kernel as Keras has it, (features, heads, size), in a parameter of the module's own."""

    def __init__(self, equation: str, shape: tuple[int, ...], bias: tuple[int, ...]) -> None:
        super().__init__()
        self.equation = equation
        self.kernel, self.bias = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(bias))

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, query, self.kernel) + self.bias


@pytest.mark.parametrize(
    ("equation", "shape", "output", "bias_axes", "write"),
    [
        ("abc,cde->abde", (8, 3, 4), (None, 3, 4), "de", lambda: ByEinsum("nsf,fhd->nshd", (8, 3, 4), (3, 4))),
        ("abc,cde->abde", (8, 3, 4), (None, 3, 4), "de", lambda: ByEinsum("nsf,hfd->nshd", (3, 8, 4), (3, 4))),
        ("abc,cde->adbe", (8, 3, 4), (3, None, 4), "e", lambda: ByEinsum("nsf,fhd->nhsd", (8, 3, 4), (4,))),
        ("abc,bd->adc", (6, 5), (5, 8), "d", lambda: ByEinsum("nsf,st->ntf", (6, 5), (5, 1))),
    ],
)
def test_einsum_dense_onto_einsum_with_a_parameter(equation, shape, output, bias_axes, write) -> None:
    x = sequence("query")
    layer = layers.EinsumDense(equation, output_shape=output, bias_axes=bias_axes)
    assert_grafted(model_of([x], layer(x)), write())


def test_einsum_dense_onto_a_linear() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(WIDTH, 12)

        def forward(self, query: torch.Tensor) -> torch.Tensor:
            return self.linear(query).unflatten(-1, (3, 4))

    x = sequence("query")
    assert_grafted(model_of([x], layers.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de")(x)), Heads())
