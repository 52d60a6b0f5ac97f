"""Decoders of keras_hub onto transformers'. Traps: GPT-2's fused c_attn, whose Conv1D is no convolution and keeps its
weight as Keras does; rotary positions, grouped heads and RMSNorm in Llama, Mistral and Qwen2, their heads tied or not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zoo.pair import Arrays, Pair, built
from zoo.text import CONFIG, LENGTH, TEXT, VOCABULARY, last_hidden_state, named, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import torch
    from torch import nn

DECODER = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
}


def transformers(name: str, **options: Any) -> nn.Module:
    import transformers

    config = name.replace("Model", "Config").replace("ForCausalLM", "Config")
    return getattr(transformers, name)(getattr(transformers, config)(use_cache=False, **options))


def gpt2() -> nn.Module:
    return transformers(
        "GPT2Model", vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=4, n_inner=64
    )


def causal_lm(kind: str, **options: Any) -> keras.Model:
    """keras_hub's language model: the backbone and its embedding backwards."""
    import keras_hub

    backbone = getattr(keras_hub.models, f"{kind}Backbone")(**DECODER, **options)
    return getattr(keras_hub.models, f"{kind}CausalLM")(backbone)


def with_mask(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "token_ids", "padding_mask")


def behind_the_cache(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "token_ids", None, "padding_mask")


GROUPED = {**CONFIG, "num_key_value_heads": 2, "rms_norm_eps": 1e-6}

PAIRS = (
    Pair(
        "keras_hub GPT-2 → transformers GPT2Model",
        built("keras_hub.models:GPT2Backbone", **TEXT),
        gpt2,
        inputs=tokens,
        feed=behind_the_cache,
        read=last_hidden_state,
    ),
    Pair(
        "keras_hub Llama, head of its own → transformers LlamaForCausalLM",
        partial(causal_lm, "Llama"),
        partial(transformers, "LlamaForCausalLM", tie_word_embeddings=False, **GROUPED),
        inputs=tokens,
        feed=with_mask,
    ),
    Pair(
        "keras_hub Mistral → transformers MistralModel",
        built("keras_hub.models:MistralBackbone", sliding_window=LENGTH, **DECODER),
        partial(transformers, "MistralModel", sliding_window=None, **GROUPED),
        inputs=tokens,
        feed=with_mask,
        read=last_hidden_state,
    ),
    Pair(
        "keras_hub Qwen2, tied head → transformers Qwen2ForCausalLM",
        partial(causal_lm, "Qwen", tie_word_embeddings=True),
        partial(transformers, "Qwen2ForCausalLM", tie_word_embeddings=True, **GROUPED),
        inputs=tokens,
        feed=with_mask,
    ),
)
