"""``torch.einsum`` of a value and a weight as what it is: a linear layer between layouts.

Written as Transpose, Reshape and matrix product, as Keras' own is in the graph that is compared with
(export/einsum.py): what it does to the kernel, (hidden, heads, size), is then moves of a Recipe.
"""

from __future__ import annotations

import math
from typing import Any

import torch


def spelled(equation: Any, *operands: Any) -> torch.Tensor:
    """``torch.einsum``; two operands whose shared letters are all summed over are a matrix product."""
    terms = _terms(equation, operands)
    if terms is None:
        return torch.functional.einsum(equation, *operands)
    (left, right), out = terms
    value, weight = operands
    if isinstance(value, torch.nn.Parameter) and not isinstance(weight, torch.nn.Parameter):
        (left, right), (value, weight) = (right, left), (weight, value)
    summed = [letter for letter in left if letter in right]
    rows = [letter for letter in out if letter in left]
    features = [letter for letter in out if letter in right]
    sizes = {**dict(zip(left, value.shape, strict=True)), **dict(zip(right, weight.shape, strict=True))}
    width = math.prod(sizes[letter] for letter in summed)
    value = value.permute([left.index(letter) for letter in (*rows, *summed)])
    value = value.reshape(*(sizes[letter] for letter in rows), width)
    weight = weight.permute([right.index(letter) for letter in (*summed, *features)]).reshape(width, -1)
    made: torch.Tensor = (value @ weight).reshape([sizes[letter] for letter in (*rows, *features)])
    places = [*rows, *features]
    return made.permute([places.index(letter) for letter in out])


def _terms(equation: Any, operands: tuple[Any, ...]) -> tuple[tuple[str, str], str] | None:
    """((letters of each operand), letters of the result); None for another einsum than the one that is written here."""
    if not isinstance(equation, str) or "->" not in equation or "." in equation or len(operands) != 2:
        return None
    taken, out = equation.replace(" ", "").split("->")
    terms = taken.split(",")
    if len(terms) != 2 or not any(isinstance(operand, torch.nn.Parameter) for operand in operands):
        return None
    left, right = terms
    repeated = any(len(set(term)) != len(term) for term in (left, right, out))
    shared = set(left) & set(right)
    kept = set(left) ^ set(right)
    if repeated or shared & set(out) or kept != set(out) or not shared:
        return None
    return (left, right), out
