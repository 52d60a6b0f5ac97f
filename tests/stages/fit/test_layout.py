"""Layouts by their axes' names."""

from __future__ import annotations

import numpy as np
import pytest
from torchgraft.stages.fit import laid, patterns
from torchgraft.stages.fit.layout import check

PICTURE = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def test_a_pattern_moves_axes_and_merges_and_takes_apart() -> None:
    np.testing.assert_array_equal(laid(PICTURE, "n h w c -> n c h w"), PICTURE.transpose(0, 3, 1, 2))
    flat = laid(PICTURE, "n h w c -> n (c h w)")
    np.testing.assert_array_equal(flat, PICTURE.transpose(0, 3, 1, 2).reshape(2, 60))
    np.testing.assert_array_equal(laid(flat, "n (c h w) -> n h w c", (None, 3, 4, 5)), PICTURE)
    np.testing.assert_array_equal(laid(PICTURE, None), PICTURE)


def test_an_array_that_does_not_fit_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="n t c -> n c t"):
        laid(PICTURE, "n t c -> n c t")


@pytest.mark.parametrize("pattern", ["n c", "n c -> n", "n c -> n c -> n c", "n n -> n n", "n 2 -> n 2", "n c > c n"])
def test_what_is_no_layout_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no layout"):
        check(pattern)


@pytest.mark.parametrize("pattern", ["n h w c -> n c h w", "n t 1 -> n t", "b (c h w) -> b h w c", "n -> n 1"])
def test_what_is_one_is_given_back(pattern: str) -> None:
    assert check(pattern) == pattern


def test_usual_layouts_do_not_exchange_height_and_width_or_classes() -> None:
    for source in range(1, 6):
        for target in range(1, 6):
            for pattern in patterns(source, target):
                before, _, after = pattern.replace("(", "").replace(")", "").partition(" -> ")
                inner = [name for name in before.split() if name in ("d", "h", "w")]
                assert inner == [name for name in after.split() if name in inner], pattern


@pytest.mark.parametrize(
    ("ours", "keras", "pattern"),
    [
        ((2, 5, 3, 4), (2, 3, 4, 5), "n c h w -> n h w c"),
        ((2, 5, 3), (2, 3, 5), "n c t -> n t c"),
        ((3, 2, 5), (2, 3, 5), "t n c -> n t c"),
        ((2, 1), (2,), "n 1 -> n"),
        ((2,), (2, 1), "n -> n 1"),
        ((2, 5, 1, 1), (2, 5), "n c 1 1 -> n c"),
        ((2, 12, 5), (2, 3, 4, 5), "n (h w) c -> n h w c"),
        ((2, 60), (2, 3, 4, 5), "n (c h w) -> n h w c"),
    ],
)
def test_the_layout_of_a_rank_is_among_the_usual_ones(ours: tuple, keras: tuple, pattern: str) -> None:
    assert pattern in list(patterns(len(ours), len(keras)))
    assert laid(np.zeros(ours), pattern, keras).shape == keras
