"""How two arrays of one name compare."""

from __future__ import annotations

import math

import numpy as np

from .base import Agreement, Tolerance
from .plan import Array


def agreement(name: str, runtimes: tuple[str, str], ours: Array, theirs: Array, tolerance: Tolerance) -> Agreement:
    """Compare ``ours`` with ``theirs``, the Keras side, in float64.

    They agree where shape and kind of dtype are equal, every value is finite, and
    ``max|ours - theirs| <= atol + rtol * max|theirs|`` (see ``Tolerance``); integers and booleans where they are equal.
    NaN or Inf is never a match, on both sides neither; nor are empty arrays, which prove nothing.
    """
    reason = _incomparable(runtimes, ours, theirs)
    if reason:
        return Agreement(name, runtimes, math.inf, math.inf, math.inf, math.nan, agrees=False, reason=reason)
    a, b = ours.astype(np.float64).ravel(), theirs.astype(np.float64).ravel()
    gap = np.abs(a - b)
    max_abs, scale = float(gap.max()), float(np.abs(b).max())
    limit = tolerance.atol + tolerance.rtol * scale if _kind(theirs) == "float" else 0.0
    agrees = max_abs <= limit
    return Agreement(
        name,
        runtimes,
        max_abs=max_abs,
        mean_abs=float(gap.mean()),
        max_rel=_ratio(max_abs, scale),
        cosine=_cosine(a, b),
        agrees=agrees,
        reason="" if agrees else f"differs by {max_abs:.3g} at {_place(gap.argmax(), theirs)}, {limit:.3g} is allowed",
    )


def _incomparable(runtimes: tuple[str, str], ours: Array, theirs: Array) -> str:
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} against {theirs.shape}"
    if _kind(ours) != _kind(theirs):
        return f"dtype {ours.dtype} against {theirs.dtype}"
    if ours.size == 0:
        return f"shape {ours.shape} is empty: nothing was compared"
    bad = [_first_not_finite(array) for array in (ours, theirs)]
    if all(bad):
        return f"{bad[0]} on both sides"
    return next((f"{what} in {runtime}" for what, runtime in zip(bad, runtimes, strict=True) if what), "")


def _kind(array: Array) -> str:
    """float16, bfloat16, float32 and float64 are of one kind; so are all integers."""
    if array.dtype.kind in "iu":
        return "integer"
    return "float" if "float" in array.dtype.name else array.dtype.name


def _first_not_finite(array: Array) -> str:
    """ "NaN at (0, 4)", or "" where every value is finite."""
    finite = np.isfinite(array.astype(np.float64, copy=False))
    if finite.all():
        return ""
    place = np.unravel_index(int(np.argmin(finite)), array.shape)
    what = "NaN" if np.isnan(float(array[place])) else "Inf"
    return f"{what} at {tuple(int(index) for index in place)}"


def _place(flat: np.intp, array: Array) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(flat), array.shape))


def _ratio(gap: float, scale: float) -> float:
    if scale:
        return gap / scale
    return math.inf if gap else 0.0


def _cosine(a: Array, b: Array) -> float:
    """1 for two zero vectors, 0 where only one is zero."""
    largest = [float(np.abs(vector).max()) for vector in (a, b)]
    if not all(largest):
        return 0.0 if any(largest) else 1.0
    # Scaled first: the square of 1e-200 is 0, that of 1e200 Inf.
    a, b = a / largest[0], b / largest[1]
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))
