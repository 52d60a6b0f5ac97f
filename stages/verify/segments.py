"""A graph cut into segments that each read a bounded amount of weights, so that they need not all be there at once.

A weight that stands otherwise in the graph than in Keras may be a copy, and one that the graph itself transposes is a
copy inside ONNX Runtime, unless what reads it can read it so: of the whole model, once its weights. A segment's are
there while it runs, and no longer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from ..plan import Array

#: Bytes of weights that are there at once; a single one may be larger.
WEIGHT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Segment:
    """Some nodes that run together.

    Attributes:
        nodes: in an order in which they can run.
        weights: names of the weights that they read.
        reads: names of the values, and of the graph's inputs, that they read and do not make.
        makes: names of what they make that is wanted, or read by later segments.
        later: names of all that later segments read.
    """

    nodes: tuple[onnx.NodeProto, ...]
    weights: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    later: frozenset[str]


def segments(graph: onnx.GraphProto, sizes: Mapping[str, int], wanted: Collection[str], limit: int) -> list[Segment]:
    """The graph's nodes, cut.

    Args:
        graph: what is cut.
        sizes: weight → bytes.
        wanted: names of the values that are asked for.
        limit: bytes of the weights of a segment; one alone may have more.
    """
    held = {tensor.name for tensor in graph.initializer}
    if sum(sizes.values()) <= limit:
        parts = [list(graph.node)]
    else:
        parts = list(_cut(_close_to_use(graph.node, {*sizes, *held}), sizes, limit))
    found: list[Segment] = []
    later: set[str] = set()
    for nodes in reversed(parts):
        read = dict.fromkeys(name for node in nodes for name in names_read(node))
        made = [name for node in nodes for name in node.output if name]
        outer = [name for name in read if name not in set(made) | held]
        found.append(
            Segment(
                tuple(nodes),
                tuple(name for name in outer if name in sizes),
                tuple(name for name in outer if name not in sizes),
                tuple(name for name in made if name in later or name in wanted),
                frozenset(later),
            )
        )
        later |= read.keys()
    return found[::-1]


def model_of(proto: onnx.ModelProto, segment: Segment, given: Mapping[str, Array]) -> onnx.ModelProto:
    """A segment of ``proto`` as a model; what it reads and ``proto`` does not take has the type of ``given``."""
    graph = proto.graph
    inputs = {value.name: value for value in graph.input}
    outputs = {value.name: value for value in graph.output}
    read = {name for node in segment.nodes for name in names_read(node)}
    made = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions)
    made.graph.name = graph.name
    made.graph.node.extend(segment.nodes)
    made.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in read)
    made.graph.input.extend(inputs[name] for name in segment.weights)
    made.graph.input.extend(inputs.get(name) or _described(name, given[name]) for name in segment.reads)
    made.graph.output.extend(outputs.get(name) or onnx.ValueInfoProto(name=name) for name in segment.makes)
    return made


def _described(name: str, array: Array) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, element, [None] * array.ndim)


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The values that a node takes, and those of the graph around it that its bodies name."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            own = {value.name for value in (*body.input, *body.initializer)}
            own |= {name for inner in body.node for name in inner.output}
            yield from (name for inner in body.node for name in names_read(inner) if name not in own)


def _close_to_use(nodes: Sequence[onnx.NodeProto], known: Collection[str]) -> Iterator[list[onnx.NodeProto]]:
    """Each node, and right before it what it is the first to read of what is made of weights alone.

    That is of a weight's size, and together ONNX Runtime may compute both without it (a Gemm of a turned kernel).
    """
    waiting: dict[str, onnx.NodeProto] = {}
    known = set(known)

    def needed(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        for name in names_read(node):
            before = waiting.get(name)
            if before is not None:
                for output in before.output:
                    waiting.pop(output, None)
                yield from needed(before)
                yield before

    for node in nodes:
        if known.issuperset(names_read(node)):
            known.update(node.output)
            waiting.update(dict.fromkeys(node.output, node))
        else:
            yield [*needed(node), node]
    yield from ([node] for node in {id(node): node for node in waiting.values()}.values())


def _cut(
    groups: Iterator[list[onnx.NodeProto]], sizes: Mapping[str, int], limit: int
) -> Iterator[list[onnx.NodeProto]]:
    """No group is cut."""
    part: list[onnx.NodeProto] = []
    read: set[str] = set()
    for group in groups:
        new = {name for node in group for name in names_read(node) if name in sizes}
        if part and new - read and sum(sizes[name] for name in read | new) > limit:
            yield part
            part, read = [], set()
        part.extend(group)
        read |= new
    if part:
        yield part
