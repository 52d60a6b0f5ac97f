"""Every family of the zoo. Add one: a file beside this with ``PAIRS``, and its name here."""

from __future__ import annotations

from zoo import (
    attention_layers,
    autoencoder,
    bert,
    convnext,
    densenet,
    gpt,
    inception,
    mixer,
    mobilenet,
    multitask,
    nasnet,
    pointnet,
    resnet,
    seq2seq,
    sequence_classifiers,
    siamese,
    t5_bart,
    tcn,
    transformer_encoder,
    unet,
    vgg,
    vit,
)
from zoo.pair import Pair

FAMILIES = (
    *(vgg, resnet, densenet, inception, mobilenet, convnext, nasnet),
    *(bert, gpt, vit, t5_bart),
    # written by hand:
    *(unet, autoencoder, sequence_classifiers, seq2seq, tcn, pointnet, mixer, siamese, multitask),
    *(attention_layers, transformer_encoder),
)
PAIRS: tuple[Pair, ...] = tuple(pair for family in FAMILIES for pair in family.PAIRS)
