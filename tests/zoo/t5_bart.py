"""Encoder and decoder in one: T5 and BART of keras_hub onto transformers'. Traps: two inputs with two masks, one
embedding for both, relative positions that the first layer alone looks up, tables with two rows too many.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zoo.bert import transformers
from zoo.pair import Arrays, Pair, built
from zoo.text import LENGTH, TEXT, VOCABULARY, named, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

T5 = {
    "vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
    "feed_forward_proj": "relu", "use_cache": False,
}  # fmt: skip
BART = {
    "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": LENGTH,
    "use_cache": False,
}  # fmt: skip


def both_sides(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "encoder_token_ids", "encoder_padding_mask", "decoder_token_ids", "decoder_padding_mask")


def decoder_and_encoder(result: Any) -> Sequence[torch.Tensor]:
    return [result.last_hidden_state, result.encoder_last_hidden_state]


PAIRS = (
    Pair(
        "keras_hub T5 → transformers T5Model",
        built(
            "keras_hub.models:T5Backbone", use_gated_activation=False, activation="relu",
            **{name: value for name, value in TEXT.items() if name != "max_sequence_length"},
        ),
        partial(transformers, "T5Model", **T5),
        inputs=tokens,
        feed=both_sides,
        read=decoder_and_encoder,
    ),
    Pair(
        "keras_hub BART → transformers BartModel",
        built("keras_hub.models:BartBackbone", **TEXT),
        partial(transformers, "BartModel", **BART),
        inputs=tokens,
        feed=both_sides,
        read=decoder_and_encoder,
        findings=("rows 0–1 became zeros: forward reads them on no input",),
    ),
)  # fmt: skip
