"""Pooling, windowed and global."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from keras import layers

from .case import MAP, SERIES, VOLUME, Case, case


def pooling() -> Iterator[Case]:
    for number, shape in ((1, SERIES), (2, MAP), (3, VOLUME)):
        for mode in ("Max", "Average"):
            kind = getattr(layers, f"{mode}Pooling{number}D")
            name = kind.__name__.lower()
            for padding, strides in product(("valid", "same"), (None, 1)):
                yield case(f"{name}_{padding}_{strides}", shape, kind, 2, strides=strides, padding=padding)
            yield case(f"{name}_wide_same", shape, kind, 3, strides=2, padding="same")
            yield case(f"{name}_gaps_same", shape, kind, 2, strides=3, padding="same")
            kind = getattr(layers, f"Global{mode}Pooling{number}D")
            yield case(kind.__name__.lower(), shape, kind)
            yield case(f"{kind.__name__.lower()}_kept", shape, kind, keepdims=True)
