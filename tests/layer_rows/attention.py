"""Attention layers, EinsumDense, ReversibleEmbedding: a sequence attends to itself, or to a shorter, narrower one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from .case import MAP, SERIES, Call, Case, case

# Which of 11 queries may look at which of 7 keys: each at one at least, no two alike.
MASK = np.add.outer(3 * np.arange(11), 5 * np.arange(7)) % 4 < 2


def attending(**options: Any) -> Call:
    """The layer on a sequence of 11 and one of 7 with 5 features."""
    return lambda layer, x: layer(x, _shorter(x), **options)


def over_part(**options: Any) -> Call:
    """The layer on a sequence of 11 and one of 7, as wide."""
    return lambda layer, x: layer(x, x[:, 2:9] * 0.7, **options)


def _shorter(x: Any) -> Any:
    return x[:, 2:9, :5] * 0.7


def _with_key(layer: layers.Layer, x: Any) -> Any:
    return layer(x, _shorter(x), key=_shorter(x)[..., :4] * 1.5)


def _masked_by_value(layer: layers.Layer, x: Any) -> Any:
    """A mask that depends on the input, as padding does."""
    return layer(x, x, attention_mask=keras.ops.abs(x[:, :1, :] @ keras.ops.transpose(x, (0, 2, 1))) < 3)


def _in_list(*parts: Any, **options: Any) -> Call:
    """Attention and AdditiveAttention take a list: query, value, and perhaps a key; all are as wide."""

    def call(layer: layers.Layer, x: Any) -> Any:
        given = {"query": x, "value": x[:, 2:9] * 0.7, "key": x[:, 1:8] - 0.1}
        return layer([given[part] for part in parts], **options)

    return call


def _padded(layer: layers.Layer, x: Any) -> Any:
    query_mask, value_mask = x[:, :, 0] > -2, x[:, 2:9, 1] > -1
    return layer([x, x[:, 2:9] * 0.7], mask=[query_mask, value_mask])


def multi_head() -> Iterator[Case]:
    kind = layers.MultiHeadAttention
    yield case("mha_self", SERIES, kind, 3, 4, call=lambda layer, x: layer(x, x))
    yield case("mha_cross", SERIES, kind, 2, 4, call=attending())
    yield case("mha_one_head", SERIES, kind, 1, 6, call=attending())
    yield case("mha_value_dim", SERIES, kind, 3, 4, value_dim=5, call=attending())
    yield case("mha_key", SERIES, kind, 3, 4, call=_with_key)
    yield case("mha_mask", SERIES, kind, 3, 4, call=attending(attention_mask=MASK[None]))
    yield case("mha_mask_by_value", SERIES, kind, 3, 4, call=_masked_by_value)
    yield case("mha_causal", SERIES, kind, 3, 4, call=lambda layer, x: layer(x, x, use_causal_mask=True))
    yield case("mha_causal_cross", SERIES, kind, 3, 4, call=attending(use_causal_mask=True))
    yield case(
        "mha_causal_and_mask", SERIES, kind, 3, 4, call=attending(use_causal_mask=True, attention_mask=MASK[None])
    )
    yield case("mha_scores", SERIES, kind, 3, 4, call=attending(return_attention_scores=True))
    yield case(
        "mha_scores_mask", SERIES, kind, 3, 4, call=attending(return_attention_scores=True, attention_mask=MASK[None])
    )
    yield case("mha_dropout", SERIES, kind, 3, 4, dropout=0.5, call=attending())
    yield case("mha_output_shape", SERIES, kind, 3, 4, output_shape=(2, 5), call=attending())
    yield case("mha_no_bias", SERIES, kind, 3, 4, use_bias=False, call=attending())
    yield case("mha_no_flash", SERIES, kind, 3, 4, flash_attention=False, call=attending())
    yield case("mha_axes", MAP, kind, 3, 4, attention_axes=(1, 2), call=lambda layer, x: layer(x, x[:, 1:5, 2:9]))
    yield case("mha_axis_2", MAP, kind, 3, 4, attention_axes=2, call=lambda layer, x: layer(x, x[:, :, 2:9]))


def grouped_query() -> Iterator[Case]:
    kind = layers.GroupQueryAttention
    yield case("gqa", SERIES, kind, 4, 6, 2, call=lambda layer, x: layer(x, x))
    yield case("gqa_cross", SERIES, kind, 4, 6, 3, call=over_part())
    yield case("gqa_one", SERIES, kind, 4, 6, 1, call=over_part())
    yield case("gqa_as_many", SERIES, kind, 4, 4, 4, call=over_part())
    yield case("gqa_mask", SERIES, kind, 4, 4, 2, call=over_part(attention_mask=MASK[None]))
    yield case("gqa_causal", SERIES, kind, 4, 4, 2, call=lambda layer, x: layer(x, x, use_causal_mask=True))
    yield case("gqa_scores", SERIES, kind, 4, 4, 2, call=over_part(return_attention_scores=True))
    yield case("gqa_dropout", SERIES, kind, 4, 4, 2, dropout=0.5, use_bias=False, call=over_part())


def dot_product() -> Iterator[Case]:
    for kind in (layers.Attention, layers.AdditiveAttention):
        name = kind.__name__.lower()
        yield case(name, SERIES, kind, call=_in_list("query", "value"))
        yield case(f"{name}_key", SERIES, kind, call=_in_list("query", "value", "key"))
        yield case(f"{name}_causal", SERIES, kind, call=_in_list("query", "value", use_causal_mask=True))
        yield case(f"{name}_scores", SERIES, kind, call=_in_list("query", "value", return_attention_scores=True))
        yield case(f"{name}_dropout", SERIES, kind, dropout=0.5, call=_in_list("query", "value"))
        yield case(f"{name}_masks", SERIES, kind, call=_padded)
    yield case("attention_scale", SERIES, layers.Attention, use_scale=True, call=_in_list("query", "value"))
    yield case("attention_concat", SERIES, layers.Attention, score_mode="concat", call=_in_list("query", "value"))
    yield case(
        "attention_concat_scale",
        SERIES,
        layers.Attention,
        score_mode="concat",
        use_scale=True,
        call=_in_list("query", "value", "key"),
    )
    yield case(
        "additiveattention_no_scale",
        SERIES,
        layers.AdditiveAttention,
        use_scale=False,
        call=_in_list("query", "value"),
    )


# equation, output shape, bias axes; the input is (N, 11, 6) or (N, 9, 11, 6)
EQUATIONS: tuple[tuple[str, tuple[int, ...], tuple[int | None, ...], str | None], ...] = (
    ("last", SERIES, ("abc,cd->abd", (None, 5), "d")),
    ("heads", SERIES, ("abc,cde->abde", (None, 3, 4), "de")),
    ("heads_no_bias", SERIES, ("abc,cde->abde", (None, 3, 4), None)),
    ("heads_bias_on_one", SERIES, ("abc,cde->abde", (None, 3, 4), "e")),
    ("heads_turned", SERIES, ("abc,dce->abde", (None, 3, 4), "de")),
    ("heads_last", SERIES, ("abc,dec->abde", (None, 3, 4), "de")),
    ("heads_first", SERIES, ("abc,cde->adbe", (3, None, 4), "de")),
    ("from_heads", MAP, ("abcd,cde->abe", (None, 5), "e")),
    ("from_heads_turned", MAP, ("abcd,dce->abe", (None, 5), "e")),
    ("from_heads_apart", MAP, ("abcd,bde->ace", (None, 5), "e")),
    ("tokens", SERIES, ("abc,bd->adc", (4, 6), "d")),
    ("tokens_and_features", SERIES, ("abc,bcd->ad", (5,), "d")),
    ("tokens_to_two", SERIES, ("abc,bde->adec", (2, 3, None), "de")),
    ("ellipsis", SERIES, ("...x,xy->...y", (5,), "y")),
    ("ellipsis_map", MAP, ("...x,xy->...y", (5,), None)),
    ("scaled_features", SERIES, ("abc,c->abc", (None, 6), "c")),
    ("scaled_positions", SERIES, ("abc,bc->abc", (11, 6), None)),
    ("each_position", SERIES, ("abc,bcd->abd", (11, 5), "bd")),
    ("to_one", SERIES, ("abc,c->ab", (None,), None)),
    ("summed_over", SERIES, ("abc,cd->ad", (5,), "d")),
    ("outer", SERIES, ("abc,de->abcde", (None, 6, 2, 3), None)),
)


def einsum_dense() -> Iterator[Case]:
    for name, shape, (equation, output_shape, bias_axes) in EQUATIONS:
        yield case(f"einsum_{name}", shape, layers.EinsumDense, equation, output_shape, bias_axes=bias_axes)
    yield case(
        "einsum_activation", SERIES, layers.EinsumDense, "abc,cd->abd", (None, 5), bias_axes="d", activation="gelu"
    )


def _there_and_back(layer: layers.Layer, x: Any) -> Any:
    return layer(layer(x) * 1.5, reverse=True)


def reversible_embedding() -> Iterator[Case]:
    kind = layers.ReversibleEmbedding
    yield case("reversible", (7,), kind, 9, 4, call=_there_and_back, dtype="int32")
    yield case("reversible_untied", (7,), kind, 9, 4, tie_weights=False, call=_there_and_back, dtype="int32")
    yield case("reversible_soft_cap", (7,), kind, 9, 4, logit_soft_cap=0.5, call=_there_and_back, dtype="int32")
    yield case("reversible_one_way", (7,), kind, 9, 4, dtype="int32")


def attention() -> Iterator[Case]:
    for rows in (multi_head, grouped_query, dot_product, einsum_dense, reversible_embedding):
        yield from rows()
