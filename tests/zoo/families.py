"""Every family of the zoo. Add one: a file beside this with ``PAIRS``, and its name here."""

from __future__ import annotations

from zoo import convnext, densenet, inception, mobilenet, nasnet, resnet, vgg
from zoo.pair import Pair

FAMILIES = (vgg, resnet, densenet, inception, mobilenet, convnext, nasnet)
PAIRS: tuple[Pair, ...] = tuple(pair for family in FAMILIES for pair in family.PAIRS)
