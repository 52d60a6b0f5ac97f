"""Keras' attention layers onto nn.MultiheadAttention (one fused in_proj) and onto attention spelt out with
F.scaled_dot_product_attention: one fused qkv, separate ones, grouped heads.
"""

from __future__ import annotations

from functools import partial

import keras
import torch
from keras import layers
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from zoo.pair import Arrays, Pair

WIDTH, HEADS, SIZE = 16, 4, 4


def keras_attention(*, crossed: bool = False, causal: bool = False) -> keras.Model:
    query, memory = keras.Input((9, WIDTH), name="query"), keras.Input((7, WIDTH), name="memory")
    x = layers.Dense(WIDTH, name="before")(query)
    attention = layers.MultiHeadAttention(HEADS, SIZE, name="attention")
    y = attention(x, memory) if crossed else attention(x, x, use_causal_mask=causal)
    return keras.Model([query, memory] if crossed else query, layers.Dense(5, name="head")(y), name="attention")


def keras_grouped() -> keras.Model:
    query = keras.Input((9, WIDTH), name="query")
    x = layers.Dense(WIDTH, name="before")(query)
    y = layers.GroupQueryAttention(SIZE, HEADS, 2, name="attention")(x, x)
    return keras.Model(query, layers.Dense(5, name="head")(y), name="grouped")


class Ends(nn.Module):
    """The layers around the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)


class Attending(Ends):
    """nn.MultiheadAttention on a sequence itself."""

    def __init__(self, *, causal: bool = False, need_weights: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.causal, self.need_weights = causal, need_weights

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        x = self.before(query)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if self.causal else None
        y, _ = self.attention(x, x, x, attn_mask=later, need_weights=self.need_weights)
        return self.head(y)


class TimeFirst(Ends):
    """nn.MultiheadAttention with the positions first, as it takes them by default."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS)

    def forward(self, query: torch.Tensor) -> torch.Tensor:
        x = self.before(query).transpose(0, 1)
        return self.head(self.attention(x, x, x, need_weights=False)[0].transpose(0, 1))


class Crossed(Ends):
    """nn.MultiheadAttention on another sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        return self.head(self.attention(self.before(query), memory, memory, need_weights=False)[0])


class Fused(Ends):
    """One Linear for queries, keys and values, heads inside."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        batch, length, _ = x.shape
        query, key, value = self.qkv(x).reshape(batch, length, 3, HEADS, SIZE).permute(2, 0, 3, 1, 4).unbind(0)
        y = scaled_dot_product_attention(query, key, value)
        return self.head(self.proj(y.transpose(1, 2).reshape(batch, length, WIDTH)))


class Separate(Ends):
    """Three Linears and a softmax, everything spelt out."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        heads = [each(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for each in (self.q, self.k, self.v)]
        weights = (heads[0] @ heads[1].transpose(-2, -1) / SIZE**0.5).softmax(-1)
        return self.head(self.o((weights @ heads[2]).transpose(1, 2).flatten(2)))


class Grouped(Ends):
    """Half as many heads of keys and values, both from one Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        query = self.q(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        key, value = (half.unflatten(-1, (2, SIZE)).transpose(1, 2) for half in self.kv(x).chunk(2, dim=-1))
        y = scaled_dot_product_attention(query, key, value, enable_gqa=True)
        return self.head(self.o(y.transpose(1, 2).flatten(2)))


def as_it_is(inputs: Arrays) -> list[torch.Tensor]:
    """Sequences (batch, positions, features), as Keras has them."""
    return [torch.from_numpy(array) for array in inputs.values()]


PAIRS = tuple(
    Pair(name, made, module, feed=as_it_is)
    for name, made, module in (
        ("attention → nn.MultiheadAttention", keras_attention, Attending),
        ("attention → nn.MultiheadAttention with weights", keras_attention, partial(Attending, need_weights=True)),
        ("attention → nn.MultiheadAttention, positions first", keras_attention, TimeFirst),
        ("causal → nn.MultiheadAttention", partial(keras_attention, causal=True), partial(Attending, causal=True)),
        ("cross attention → nn.MultiheadAttention", partial(keras_attention, crossed=True), Crossed),
        ("attention → fused qkv", keras_attention, Fused),
        ("attention → separate Linears", keras_attention, Separate),
        ("grouped queries → grouped heads by hand", keras_grouped, Grouped),
    )
)
