"""What a graph tells of a module, whether the graph is run or the module itself again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import fx

from .graph import read_graph
from .nodes import module_paths


class GraphReading:
    """The half of a ``Reading`` that runs nothing. ``keys``, ``constants`` and ``merge``: see ``read_graph``."""

    returned: Sequence[str] = ()
    left: Sequence[str] = ()

    def __init__(self, graph: fx.Graph, keys: Mapping[str, str], constants: Collection[str], *, merge: bool) -> None:
        self._graph, self._keys, self._constants, self._merge = graph, keys, set(constants), merge
        self._raw: frozenset[str] = frozenset()
        self._read()

    def _read(self) -> None:
        self._parts = read_graph(self._graph, self._keys, self._constants, merge=self._merge, raw=self._raw)
        self.ops, self.places, self.glue = self._parts.ops, self._parts.places, self._parts.glue
        self.results = {
            path: node.name for node in self._graph.nodes if node.name in self.places for path in module_paths(node)
        }

    def take_as_glue(self, ops: Collection[str]) -> None:
        if not self._raw >= set(ops):
            self._raw |= set(ops)
            self._read()
