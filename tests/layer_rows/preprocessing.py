"""Preprocessing that computes at inference too: categories, contrast, masks, boxes."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, Case, case

NUMBERS = (7,)


def categories() -> Iterator[Case]:
    for mode in ("one_hot", "multi_hot", "count"):
        yield case(f"encoding_{mode}", NUMBERS, layers.CategoryEncoding, 6, output_mode=mode, dtype="int32")
        yield case(f"bins_{mode}", VECTOR, layers.Discretization, [-0.5, 0.1, 0.8], output_mode=mode)
        yield case(f"lookup_{mode}", NUMBERS, layers.IntegerLookup, **LOOKUP, output_mode=mode, dtype="int32")
    yield case("encoding_of_floats", VECTOR, layers.CategoryEncoding, 3, output_mode="one_hot", call=on_positive)
    yield case("bins_vector", VECTOR, layers.Discretization, [-0.5, 0.1, 0.8])
    yield case("bins_map", MAP, layers.Discretization, [-0.5, 0.1, 0.8])
    yield case("lookup", NUMBERS, layers.IntegerLookup, vocabulary=[3, 1, 0], dtype="int32")
    yield case("lookup_masked", NUMBERS, layers.IntegerLookup, **LOOKUP, dtype="int32")
    yield case("lookup_padded", NUMBERS, layers.IntegerLookup, **LOOKUP, **PADDED, dtype="int32")


LOOKUP = {"vocabulary": [3, 1, 4], "mask_token": 2}
PADDED = {"max_tokens": 9, "pad_to_max_tokens": True, "output_mode": "count"}


def on_positive(layer: layers.Layer, given):
    """Category numbers are not negative."""
    return layer(given * given)


def preprocessing() -> Iterator[Case]:
    yield case("auto_contrast", (*MAP[:2], 3), layers.AutoContrast, value_range=(0, 255))
    yield case("masking", SERIES, layers.Masking, 0.0)
    yield case("pipeline", (*MAP[:2], 3), layers.Pipeline, [layers.RandomFlip(), layers.Rescaling(2.0)])
