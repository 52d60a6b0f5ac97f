"""The nodes of a graph in the order of the model's layers, as far as what they need allows.

tf2onnx sorts a graph topologically, in whatever order it likes, and Keras runs branches of one depth last to first.
Where two layers cannot be told apart by what they read, the order of execution decides: it has to be that in which
a person has written them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir


def sort_by_layer(graph: ir.Graph, ends: Iterable[ir.Node]) -> None:
    """Put what each of ``ends`` needs before it, in their order; the rest behind, in the order that it had."""
    rank = {node: place for place, node in enumerate(graph)}
    ordered: dict[ir.Node, None] = {}
    for end in [*ends, *rank]:
        ordered.update(dict.fromkeys(sorted(_needed(end, rank, ordered), key=rank.__getitem__)))
    nodes = list(ordered)
    graph.remove(nodes)
    graph.extend(nodes)


def _needed(end: ir.Node, among: dict[ir.Node, int], done: dict[ir.Node, None]) -> set[ir.Node]:
    """``end`` and the nodes before it that are not done yet."""
    found: set[ir.Node] = set()
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node in among and node not in done and node not in found:
            found.add(node)
            producers = (value.producer() for value in _read(node))
            waiting += [producer for producer in producers if producer is not None]
    return found


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """The inputs of a node, and of the nodes in a graph that it holds (the body of a Scan)."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                yield from _read(inner)
