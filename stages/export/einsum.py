"""TensorFlow's Einsum → Transpose, Reshape and one MatMul or Mul, so that what it does to a weight becomes a move.

In ``abc,cde->abde`` each letter is an axis; a letter of both operands that the result has not is summed over.

1. A letter that one operand alone has, and the result has not: ReduceSum first.
2. Nothing is summed over both: Mul of both, each with axes of length 1 where it lacks a letter (``abc,c->abc``).
3. No letter in all three: (…, summed) MatMul (summed, free), the second factor the weight, if one is:
   ``abc,cde->abde`` is (a, b, c) MatMul (c, d·e) → Reshape (a, b, d, e).
4. Otherwise (both, …, summed) MatMul (both, summed, …), the factors in the order that spares a Transpose after it:
   ``aecd,abcd->acbe`` (the scores of an attention) is (a, c, b, d) MatMul (a, c, d, e).
5. A letter twice in one operand (a diagonal), ellipses of unequal size, more than one free size: ONNX' Einsum stays.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Operand:
    """A value of tf2onnx's graph whose axes bear letters."""

    value: str
    letters: str


class Writer:
    """Writes nodes around ``name``; sizes are by letter, -1 where free."""

    def __init__(self, graph: Any, name: str, dtype: int, sizes: Sizes) -> None:
        self._graph, self._name, self._dtype, self.sizes = graph, name, dtype, sizes

    def node(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        made = self._graph.make_node(
            op,
            list(inputs),
            attr=attributes,
            name=self._graph_name(op),
            shapes=[list(shape)],
            dtypes=[self._dtype],
        )
        return str(made.output[0])

    def _graph_name(self, what: str) -> str:
        from tf2onnx.utils import make_name

        return str(make_name(f"{self._name}/{what}"))

    def constant(self, values: Sequence[int], what: str) -> str:
        return str(self._graph.make_const(self._graph_name(what), np.asarray(values, np.int64)).output[0])

    def shape(self, letters: str) -> list[int]:
        return [self.sizes[letter] for letter in letters]

    def transposed(self, operand: Operand, letters: str) -> Operand:
        if operand.letters == letters:
            return operand
        perm = [operand.letters.index(letter) for letter in letters]
        return Operand(self.node("Transpose", [operand.value], self.shape(letters), perm=perm), letters)

    def summed(self, operand: Operand, kept: set[str]) -> Operand:
        """Case 1."""
        axes = [axis for axis, letter in enumerate(operand.letters) if letter not in kept]
        if not axes:
            return operand
        letters = "".join(letter for letter in operand.letters if letter in kept)
        value = self.node("ReduceSum", [operand.value, self.constant(axes, "axes")], self.shape(letters), keepdims=0)
        return Operand(value, letters)

    def reshaped(self, value: str, have: Sequence[str], want: Sequence[str]) -> str:
        """From axes that are runs of letters to others: ``["ab", "c"]`` → ``["a", "b", "c"]``; "" has length 1."""
        if list(have) == list(want):
            return value
        shape = [self.size(run) for run in want]
        return self.node("Reshape", [value, self.constant(shape, "shape")], shape)

    def size(self, run: str) -> int:
        sizes = self.shape(run)
        return -1 if -1 in sizes else math.prod(sizes)


def einsum(graph: Any, node: Any, name: str, args: Any) -> None:
    """The handler for tf2onnx."""
    from tf2onnx.utils import ONNX_UNKNOWN_DIMENSION

    equation = node.get_attr_str("equation").replace(" ", "")
    shapes = [graph.get_shape(value) for value in node.input]
    parsed = _parsed(equation, shapes)
    if parsed is None or len(node.input) > 2 or _repeats(parsed):
        return _kept(graph, node, equation, parsed)
    *inputs, result = parsed
    sizes: dict[str, int] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = size if sizes.get(letter, ONNX_UNKNOWN_DIMENSION) < 0 else sizes[letter]
    if sum(sizes[letter] < 0 for letter in sizes) > 1:
        return _kept(graph, node, equation, parsed)
    operands = [Operand(value, letters) for value, letters in zip(node.input, inputs, strict=True)]
    weights = [_is_weight(source) for source in node.inputs]
    if weights == [True, False]:
        operands.reverse()
    target, shape, dtype = node.output[0], graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    graph.remove_node(node.name)
    written = _written(Writer(graph, node.name, dtype, sizes), operands, result, both_values=not any(weights))
    graph.make_node("Identity", [written], name=node.name, outputs=[target], shapes=[shape], dtypes=[dtype])
    return None


def _parsed(equation: str, shapes: Sequence[Sequence[int] | None]) -> list[str] | None:
    """The letters of each operand and of the result, ellipses spelt out; None where they are not of one size."""
    left, arrow, result = equation.partition("->")
    runs = left.split(",")
    if not arrow or any(shape is None for shape in shapes):
        return None
    ranks = [len(shape or ()) - len(run.replace("...", "")) for run, shape in zip(runs, shapes, strict=True)]
    spelt = {rank for run, rank in zip(runs, ranks, strict=True) if "..." in run}
    if len(spelt) > 1:
        return None
    free = [letter for letter in string.ascii_letters if letter not in equation]
    dots = "".join(free[: max(spelt, default=0)])
    if sum("..." in run for run in runs) > 1 and not _same_sizes(runs, shapes, len(dots)):
        return None
    return [run.replace("...", dots) for run in (*runs, result)]


def _same_sizes(runs: Sequence[str], shapes: Sequence[Sequence[int] | None], count: int) -> bool:
    """Whether the axes under the ellipses are of equal size: those of size 1 are broadcast."""
    under = []
    for run, shape in zip(runs, shapes, strict=True):
        if "..." in run:
            start = run.index("...")
            under.append(tuple(shape or ())[start : start + count])
    return all(one == under[0] for one in under)


def _repeats(parsed: Sequence[str]) -> bool:
    return any(len(set(letters)) < len(letters) for letters in parsed)


def _kept(graph: Any, node: Any, equation: str, parsed: Sequence[str] | None) -> None:
    """Case 5."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    inputs, output, name = list(node.input), node.output[0], node.name
    graph.remove_node(name)
    if parsed is not None:
        equation = ",".join(parsed[:-1]) + "->" + parsed[-1]
    graph.make_node(
        "Einsum", inputs, attr={"equation": equation}, name=name, outputs=[output], shapes=[shape], dtypes=[dtype]
    )


def _is_weight(node: Any) -> bool:
    """Whether it is made from weights and constants alone."""
    if node is None:
        return False
    if node.is_graph_input():
        return bool(node.name.startswith("weight_"))
    return bool(node.is_const() or (node.inputs and all(_is_weight(source) for source in node.inputs)))


def _written(writer: Writer, operands: list[Operand], result: str, *, both_values: bool) -> str:
    others = [set(result).union(*(other.letters for other in operands if other is not one)) for one in operands]
    operands = [writer.summed(one, kept) for one, kept in zip(operands, others, strict=True)]
    if len(operands) == 1:
        return writer.transposed(operands[0], result).value
    left, right = operands
    common = set(left.letters) & set(right.letters)
    if not common - set(result):
        return _multiplied(writer, left, right, result)
    if both_values:
        left, right = _in_order_of(result, left, right)
    return _product(writer, left, right, result)


def _in_order_of(result: str, left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """The factors so that the letters of the second alone come last in the result."""
    own = [letter for letter in result if (letter in left.letters) != (letter in right.letters)]
    return (right, left) if own and own[-1] in left.letters else (left, right)


def _multiplied(writer: Writer, left: Operand, right: Operand, result: str) -> str:
    """Case 2."""
    factors = []
    for one in (left, right):
        ordered = writer.transposed(one, "".join(letter for letter in result if letter in one.letters))
        axes = [letter if letter in one.letters else "" for letter in result]
        factors.append(writer.reshaped(ordered.value, list(ordered.letters), axes))
    return writer.node("Mul", factors, writer.shape(result))


def _product(writer: Writer, left: Operand, right: Operand, result: str) -> str:
    """Cases 3 and 4."""
    both = "".join(letter for letter in result if letter in left.letters and letter in right.letters)
    summed = "".join(letter for letter in left.letters if letter in right.letters and letter not in result)
    rows = "".join(letter for letter in result if letter in left.letters and letter not in both)
    columns = "".join(letter for letter in result if letter in right.letters and letter not in both)
    left = writer.transposed(left, both + rows + summed)
    right = writer.transposed(right, both + summed + columns)
    row_axes = [rows] if both or not rows else list(rows)
    first = writer.reshaped(left.value, list(left.letters), [*both, *row_axes, summed])
    second = writer.reshaped(right.value, list(right.letters), [*both, summed, columns])
    axes = [*both, *row_axes, columns]
    product = writer.node("MatMul", [first, second], [writer.size(run) for run in axes])
    letters = both + rows + columns
    spread = writer.reshaped(product, axes, list(letters))
    return writer.transposed(Operand(spread, letters), result).value
