"""Every family of the zoo. Add one: a file beside this with ``PAIRS``, and its name here."""

from __future__ import annotations

from zoo import (
    autoencoder,
    convnext,
    densenet,
    inception,
    mixer,
    mobilenet,
    multitask,
    nasnet,
    pointnet,
    resnet,
    tcn,
    unet,
    vgg,
)
from zoo.pair import Pair

FAMILIES = (
    *(vgg, resnet, densenet, inception, mobilenet, convnext, nasnet),
    *(unet, autoencoder, tcn, pointnet, mixer, multitask),  # written by hand
)
PAIRS: tuple[Pair, ...] = tuple(pair for family in FAMILIES for pair in family.PAIRS)
