"""How two arrays of one name compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .base import Agreement, Tolerance
from .plan import Array

# Small enough for the cache, and for BLAS to keep a dot product on one thread (ten times faster than handing it out).
BLOCK = 1 << 13


def agreement(name: str, runtimes: tuple[str, str], ours: Array, theirs: Array, tolerance: Tolerance) -> Agreement:
    """Compare ``ours`` with ``theirs``, the Keras side, in float64.

    They agree where shape and kind of dtype are equal, every value is finite, and
    ``max|ours - theirs| <= atol + rtol * max|theirs|`` (see ``Tolerance``); integers and booleans where they are equal.
    NaN or Inf is never a match, on both sides neither; nor are empty arrays, which prove nothing.
    """
    reason = _incomparable(runtimes, ours, theirs)
    if reason:
        return Agreement(name, runtimes, math.inf, math.inf, math.inf, math.nan, agrees=False, reason=reason)
    sums = _sums(ours, theirs)
    limit = tolerance.atol + tolerance.rtol * sums.scale if _kind(theirs) == "float" else 0.0
    agrees = sums.max_abs <= limit
    return Agreement(
        name,
        runtimes,
        max_abs=sums.max_abs,
        mean_abs=sums.total_abs / ours.size,
        max_rel=_ratio(sums.max_abs, sums.scale),
        cosine=sums.cosine,
        agrees=agrees,
        reason="" if agrees else f"differs by {sums.max_abs:.3g} at {_place(ours, theirs)}, {limit:.3g} is allowed",
    )


@dataclass(frozen=True)
class _Sums:
    max_abs: float
    total_abs: float
    scale: float
    cosine: float


def _sums(ours: Array, theirs: Array) -> _Sums:
    """All figures in one pass of float64 blocks that stay in the processor's cache (a layer may have 1e8 elements)."""
    blocks = []
    with np.errstate(over="ignore", under="ignore"):  # of the squares: see _representable
        for a, b in _blocks(ours, theirs):
            gap = np.abs(a - b)
            blocks.append((gap.max(), gap.sum(), np.abs(b).max(), a @ b, a @ a, b @ b))
    figures = np.array(blocks)
    dot, norm_a, norm_b = figures[:, 3:].sum(axis=0)
    cosine = _cosine(dot, norm_a, norm_b) if _representable(norm_a, norm_b) else _scaled_cosine(ours, theirs)
    return _Sums(float(figures[:, 0].max()), float(figures[:, 1].sum()), float(figures[:, 2].max()), cosine)


def _blocks(ours: Array, theirs: Array) -> Iterator[tuple[Array, Array]]:
    a, b = ours.ravel(), theirs.ravel()
    for start in range(0, a.size, BLOCK):
        stop = start + BLOCK
        yield a[start:stop].astype(np.float64), b[start:stop].astype(np.float64)


def _incomparable(runtimes: tuple[str, str], ours: Array, theirs: Array) -> str:
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} against {theirs.shape}"
    if _kind(ours) != _kind(theirs):
        return f"dtype {ours.dtype} against {theirs.dtype}"
    if ours.size == 0:
        return f"shape {ours.shape} is empty: nothing was compared"
    bad = [first_not_finite(array) for array in (ours, theirs)]
    if all(bad):
        return f"{bad[0]} on both sides"
    return next((f"{what} in {runtime}" for what, runtime in zip(bad, runtimes, strict=True) if what), "")


def _kind(array: Array) -> str:
    """float16, bfloat16, float32 and float64 are of one kind; so are all integers."""
    if array.dtype.kind in "iu":
        return "integer"
    return "float" if "float" in array.dtype.name else array.dtype.name


def first_not_finite(array: Array) -> str:
    """Say "NaN at (0, 4)", or "" where every value is finite."""
    if _kind(array) != "float":
        return ""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # takes no memory, and what is not finite makes no finite sum
            return ""
    finite = np.isfinite(array)
    if finite.all():
        return ""
    place = np.unravel_index(int(np.argmin(finite)), array.shape)
    what = "NaN" if np.isnan(array[place]) else "Inf"
    return f"{what} at {tuple(int(index) for index in place)}"


def _place(ours: Array, theirs: Array) -> tuple[int, ...]:
    """Where they differ most."""
    gap = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    return tuple(int(index) for index in np.unravel_index(int(gap.argmax()), gap.shape))


def _ratio(gap: float, scale: float) -> float:
    if scale:
        return gap / scale
    return math.inf if gap else 0.0


def _representable(*squares: float) -> bool:
    """Whether a sum of squares neither overflowed nor lost its digits (the square of 1e-200 is 0, of 1e200 Inf)."""
    return all(1e-200 < square < 1e200 for square in squares)


def _scaled_cosine(ours: Array, theirs: Array) -> float:
    """The cosine of vectors with extreme values: 1 for two zero vectors, 0 where only one is zero."""
    a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    largest = [float(np.abs(vector).max()) for vector in (a, b)]
    if not all(largest):
        return 0.0 if any(largest) else 1.0
    a, b = a / largest[0], b / largest[1]
    return _cosine(float(a @ b), float(a @ a), float(b @ b))


def _cosine(dot: float, norm_a: float, norm_b: float) -> float:
    return float(np.clip(dot / math.sqrt(norm_a) / math.sqrt(norm_b), -1.0, 1.0))
