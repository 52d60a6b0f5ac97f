"""BERT and its kin of keras_hub onto transformers'. Traps: einsum kernels (hidden, heads, size) against Linear;
positions added as a table against looked up, in RoBERTa behind two rows that nothing reads; a pooler; inputs under
other names; tanh GELU against the exact one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zoo.pair import Arrays, Pair, built
from zoo.text import CONFIG, LENGTH, TEXT, last_hidden_state, named, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import torch
    from torch import nn


def transformers(name: str, **options: Any) -> nn.Module:
    import transformers

    config = getattr(transformers, name.replace("Model", "Config"))
    return getattr(transformers, name)(config(**options))


def distil_bert() -> nn.Module:
    return transformers(
        "DistilBertModel", vocab_size=100, n_layers=2, n_heads=4, dim=32, hidden_dim=64, max_position_embeddings=LENGTH
    )


def keras_electra() -> keras.Model:
    """Without the pooler, which transformers' ElectraModel has not."""
    import keras
    import keras_hub

    sizes = {name: value for name, value in TEXT.items() if name != "vocabulary_size"}
    backbone = keras_hub.models.ElectraBackbone(vocab_size=100, embedding_dim=16, **sizes)
    return keras.Model(backbone.inputs, backbone.outputs[1], name="electra")


def with_segments(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "token_ids", "padding_mask", "segment_ids")


def with_mask(inputs: Arrays) -> Sequence[torch.Tensor]:
    return named(inputs, "token_ids", "padding_mask")


def pooled_and_sequence(result: Any) -> Sequence[torch.Tensor]:
    return [result.pooler_output, result.last_hidden_state]


def roberta() -> nn.Module:
    """As its checkpoints are: two rows of positions in front that nothing reads, one type of token."""
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(**{**CONFIG, "max_position_embeddings": LENGTH + 2}, type_vocab_size=1, layer_norm_eps=1e-5)
    return RobertaModel(config, add_pooling_layer=False)


def tanh_gelu(module: nn.Module) -> None:
    from torch import nn

    for part in module.modules():
        if hasattr(part, "intermediate_act_fn"):
            part.intermediate_act_fn = nn.GELU("tanh")


BERT = partial(
    Pair, keras=built("keras_hub.models:BertBackbone", **TEXT), inputs=tokens, feed=with_segments,
    read=pooled_and_sequence,
)  # fmt: skip
PAIRS = (
    BERT(
        "keras_hub BERT → transformers BertModel",
        module=partial(transformers, "BertModel", hidden_act="gelu_new", **CONFIG),
    ),
    BERT(
        "keras_hub BERT → transformers BertModel, exact GELU",
        module=partial(transformers, "BertModel", **CONFIG),
        differs=("encoder.layer.0.intermediate", "gelu"),
        told=tanh_gelu,
        full=True,
    ),
    Pair(
        "keras_hub DistilBERT → transformers DistilBertModel",
        built("keras_hub.models:DistilBertBackbone", **TEXT),
        distil_bert,
        inputs=tokens,
        feed=with_mask,
        read=last_hidden_state,
    ),
    Pair(
        "keras_hub RoBERTa → transformers RobertaModel",
        built("keras_hub.models:RobertaBackbone", **TEXT),
        roberta,
        inputs=tokens,
        feed=with_mask,
        read=last_hidden_state,
        findings=(
            "rows 0–1 became zeros: none of these inputs reads them",
            "Keras has nothing for embeddings.token_type_embeddings.weight",
        ),
    ),
    Pair(
        "keras_hub ELECTRA → transformers ElectraModel",
        keras_electra,
        partial(transformers, "ElectraModel", embedding_size=16, hidden_act="gelu_new", **CONFIG),
        inputs=tokens,
        feed=with_segments,
        read=last_hidden_state,
    ),
)
