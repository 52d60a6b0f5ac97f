"""Backbones of keras_hub, each as small as shows its structure."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
from keras_models import randomised

from .entry import Entry

TEXT = {
    "vocabulary_size": 100,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": 12,
}
DECODER = {
    "vocabulary_size": 100,
    "num_layers": 2,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
}
IMAGE = {"image_shape": (32, 32, 3)}
VIT = {"patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 32, **IMAGE}

HEADS = (
    "every attention turns its queries, keys, values and result between (positions, heads) and (heads, positions), "
    "as transformers' do by transpose(1, 2)"
)
PATCHES = f"{HEADS}; the feature map of the patches is turned once, as by flatten(2).transpose(1, 2)"


def _without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _built(kind: str, options: dict[str, Any]) -> keras.Model:
    import keras_hub

    return randomised(getattr(keras_hub.models, kind)(**options))


def tokens(model: keras.Model, samples: int) -> dict[str, np.ndarray]:
    """Ids of any word, a mask that pads the end of the second sample, segments of two sentences; any image."""
    random = np.random.default_rng(1)
    made = {}
    for tensor in model.inputs:
        shape = (samples, *(size or 12 for size in tensor.shape[1:]))
        if "mask" in tensor.name:
            array = np.arange(shape[1]) < np.array([[shape[1]], [7]])
        elif "segment" in tensor.name:
            array = np.arange(shape[1]) >= np.array([[5], [3]])
        else:
            array = random.integers(2, 100, shape) if "int" in tensor.dtype else random.normal(size=shape)
        made[tensor.name] = array.astype(tensor.dtype)
    return made


def entry(name: str, kind: str, allowed: int = 0, why: str = "", **options: Any) -> Entry:
    return Entry(f"keras_hub {name}", partial(_built, kind, options), lambda model: allowed, why, tokens)


def _clip() -> keras.Model:
    import keras_hub

    vision = keras_hub.models.CLIPVisionEncoder(**VIT, intermediate_dim=64)
    text = keras_hub.models.CLIPTextEncoder(**TEXT, embedding_dim=32)
    return randomised(keras_hub.models.CLIPBackbone(vision, text, projection_dim=16))


MIX = {
    "layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2], "layerwise_sr_ratios": [4, 1],
    "max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2], "hidden_dims": [16, 32],
}  # fmt: skip


def _segformer() -> keras.Model:
    import keras_hub

    encoder = keras_hub.models.MiTBackbone(**MIX, **IMAGE)
    return randomised(keras_hub.models.SegFormerBackbone(encoder, projection_filters=16))


def _transformers_turns(kind: str, _model: keras.Model) -> int:
    """How often the hand-written model of the same sizes turns its values, counted while it runs."""
    import torch
    import transformers

    from .turns import Turns

    config = transformers.SegformerConfig(
        num_encoder_blocks=MIX["num_layers"],
        depths=MIX["layerwise_depths"],
        sr_ratios=MIX["layerwise_sr_ratios"],
        hidden_sizes=MIX["hidden_dims"],
        patch_sizes=MIX["layerwise_patch_sizes"],
        strides=MIX["layerwise_strides"],
        num_attention_heads=MIX["layerwise_num_heads"],
        mlp_ratios=[4] * MIX["num_layers"],
        decoder_hidden_size=16,
        attn_implementation="eager",
    )
    module = getattr(transformers, kind)(config).eval()
    with torch.inference_mode(), Turns() as turns:
        module(torch.zeros(2, 3, 32, 32))
    return turns.count


def two_layers(attentions: int, more: int = 0) -> int:
    """Four Transposes for each attention of both layers, and ``more``."""
    return 2 * 4 * attentions + more


ENCODERS = (
    entry("BERT", "BertBackbone", two_layers(1), HEADS, **TEXT),
    entry("DistilBERT", "DistilBertBackbone", two_layers(1), HEADS, **TEXT),
    entry("RoBERTa", "RobertaBackbone", two_layers(1), HEADS, **TEXT),
    entry("XLM-RoBERTa", "XLMRobertaBackbone", two_layers(1), HEADS, **TEXT),
    entry(
        "ELECTRA", "ElectraBackbone", two_layers(1), HEADS,
        vocab_size=100, embedding_dim=16, **_without(TEXT, "vocabulary_size"),
    ),
    entry(
        "ALBERT", "AlbertBackbone", two_layers(1), HEADS,
        embedding_dim=16, num_groups=1, num_inner_repetitions=1, **TEXT,
    ),
    entry(
        "DeBERTaV3", "DebertaV3Backbone", two_layers(1, more=8),
        f"{HEADS}; DeBERTa turns the relative keys and queries, too, and one of the two relative scores",
        bucket_size=8, **TEXT,
    ),
    entry("FNet", "FNetBackbone", **_without(TEXT, "num_heads")),
)  # fmt: skip
DECODERS = (
    entry("GPT-2", "GPT2Backbone", two_layers(1), HEADS, **TEXT),
    entry("OPT", "OPTBackbone", two_layers(1), HEADS, **TEXT),
    entry("BLOOM", "BloomBackbone", two_layers(1), HEADS, **_without(TEXT, "max_sequence_length")),
    entry("GPT-NeoX", "GPTNeoXBackbone", two_layers(1), HEADS, **TEXT),
    entry(
        "Falcon", "FalconBackbone", two_layers(1), HEADS,
        num_attention_heads=4, **_without(TEXT, "num_heads", "max_sequence_length"),
    ),
    entry("Llama", "LlamaBackbone", two_layers(1), HEADS, **DECODER),
    entry("Mistral", "MistralBackbone", two_layers(1), HEADS, sliding_window=5, **DECODER),
    entry("Qwen2", "QwenBackbone", two_layers(1), HEADS, tie_word_embeddings=True, **DECODER),
    entry("Gemma", "GemmaBackbone", two_layers(1), HEADS, head_dim=8, **DECODER),
    entry("Phi-3", "Phi3Backbone", two_layers(1), HEADS, **DECODER),
)  # fmt: skip
BOTH = (
    entry(
        "T5", "T5Backbone", two_layers(3, more=2),
        f"{HEADS}; the relative positions are looked up with the heads last, and turned, once in encoder and decoder",
        **_without(TEXT, "max_sequence_length"),
    ),
    entry("BART", "BartBackbone", two_layers(3), HEADS, **TEXT),
    entry(
        "Whisper", "WhisperBackbone", two_layers(3, more=1),
        f"{HEADS}; the feature map of the convolutions is turned once",
        num_mels=8, max_encoder_sequence_length=16, max_decoder_sequence_length=12,
        **_without(TEXT, "max_sequence_length"),
    ),
)  # fmt: skip
IMAGES = (
    entry("ViT", "ViTBackbone", two_layers(1, more=1), PATCHES, mlp_dim=64, **VIT),
    entry("DeiT", "DeiTBackbone", two_layers(1, more=1), PATCHES, intermediate_dim=64, **VIT),
    entry("DINOv2", "DINOV2Backbone", two_layers(1, more=1), PATCHES, intermediate_dim=64, **VIT),
    entry(
        "SigLIP vision", "SigLIPVisionEncoder", two_layers(1, more=3),
        f"{PATCHES}; the attention of the pooling head turns its keys and values, its one query stands still",
        intermediate_dim=64, **VIT,
    ),
    Entry("keras_hub CLIP", _clip, lambda model: two_layers(2, more=5), f"{PATCHES}; and the logits", tokens),
    Entry(
        "keras_hub MiT",
        partial(_built, "MiTBackbone", {**MIX, **IMAGE}),
        partial(_transformers_turns, "SegformerModel"),
        "counted in a run of transformers' SegformerModel of these sizes: the feature map of the patches is turned "
        "once a stage and back once, an attention of two heads turns four times (of one head its keys alone), the "
        "reduction of keys and values and the depthwise convolution turn there and back",
        tokens,
    ),
    Entry(
        "keras_hub SegFormer",
        _segformer,
        partial(_transformers_turns, "SegformerForSemanticSegmentation"),
        "counted in a run of transformers' SegformerForSemanticSegmentation of these sizes: as MiT, and the decoder "
        "turns each level there and back",
        tokens,
    ),
    entry(
        "ResNet", "ResNetBackbone", input_conv_filters=[64], input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64], stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2],
        block_type="bottleneck_block", **IMAGE,
    ),
    entry(
        "EfficientNet", "EfficientNetBackbone", stackwise_kernel_sizes=[3, 3], stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[24, 24], stackwise_output_filters=[24, 48], stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25], stackwise_strides=[1, 2],
        stackwise_block_types=["fused", "unfused"], width_coefficient=1.0, depth_coefficient=1.0, **IMAGE,
    ),
    entry(
        "CSPDarkNet", "CSPNetBackbone", stem_filters=8, stem_kernel_size=3, stem_strides=1,
        stackwise_num_filters=[16, 32], stackwise_strides=[1, 2], stackwise_depth=[1, 1], stage_type="dark",
        block_type="dark_block", **IMAGE,
    ),
    entry(
        "DenseNet", "DenseNetBackbone", stackwise_num_repeats=[2, 2], compression_ratio=0.5, growth_rate=8, **IMAGE,
    ),
    entry("VGG", "VGGBackbone", stackwise_num_repeats=[1, 1], stackwise_num_filters=[8, 16], **IMAGE),
)  # fmt: skip
ENTRIES: tuple[Entry, ...] = (*ENCODERS, *DECODERS, *BOTH, *IMAGES)
