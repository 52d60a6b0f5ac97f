"""BERT, DistilBERT, RoBERTa and ELECTRA of keras_hub onto transformers'. Traps: einsum kernels (hidden, heads, size) against
Linear, positions added as a table against looked up, a pooler of its own, three inputs under other names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Arrays, Pair, built
from zoo.text import LENGTH, VOCABULARY, named, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

SIZES = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": LENGTH,
}
CONFIG = {
    "vocab_size": VOCABULARY,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": LENGTH,
}


def keras_bert() -> Any:
    return built("keras_hub.models:BertBackbone", **SIZES)()


def bert(**options: Any) -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**CONFIG, **options))


def with_segments(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "token_ids", "padding_mask", "segment_ids")


def pooled_and_sequence(result: Any) -> Sequence[torch.Tensor]:
    return [result.pooler_output, result.last_hidden_state]


PAIRS = (
    Pair(
        "keras_hub BERT → transformers BertModel",
        keras_bert,
        lambda: bert(hidden_act="gelu_new"),
        inputs=tokens,
        feed=with_segments,
        read=pooled_and_sequence,
    ),
)
