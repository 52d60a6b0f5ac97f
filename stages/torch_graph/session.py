"""A run of an ATen graph that can be looked back into: what would follow, had ops given something else."""

from __future__ import annotations

import heapq
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import fx

from .generators import kept_generators
from .graph import GraphParts
from .nodes import shape_of
from .reading import AtOp, OpCall, Watch

#: Name of an op → what it gives; None where the module computes it itself.
Given: TypeAlias = Callable[[str], torch.Tensor | None]
#: After so many calls of glue in a row a value is kept, so that looking back never costs more.
KEPT_EVERY = 16
#: How many elements of a value are remembered to see whether another run gives the same.
SAMPLED = 32


class Session:
    """One run.

    Values are let go after their last use. What an earlier value was is found again from what the ops gave, through the
    glue between them alone, so that looking back costs what is between, not what was before.

    Attributes:
        parts: the graph.
        position: of the call that is being made.
        values: name → value, of those that are still there.
    """

    def __init__(self, graph: fx.Graph, parts: GraphParts, leaves: Mapping[str, Any]) -> None:
        self.parts = parts
        self.leaves = leaves
        self.nodes = list(graph.nodes)
        self.index = {node.name: position for position, node in enumerate(self.nodes)}
        self.values: dict[str, Any] = {}
        self.position = -1
        self._last_use = _last_uses(self.nodes, parts)
        self._depth: dict[str, int] = {}
        self._samples: dict[str, torch.Tensor] = {}
        self._entered: set[str] = set()
        self._at_op: AtOp
        self._watch: Watch

    def run(self, at_op: AtOp, watch: Watch) -> Sequence[Any]:
        """Run from the first to the last call; what the graph gives."""
        self._at_op, self._watch = at_op, watch
        with kept_generators():
            self._run()
        return self.results()

    def _run(self) -> None:
        for position, node in enumerate(self.nodes):
            self.position = position
            if node.op == "placeholder":
                self.keep(node.name, self.leaves[node.name])
            elif node.op == "output":
                break
            elif node.name not in self.parts.hidden:
                self.keep(node.name, self._step(node))
            for used in self._last_use.get(position, ()):
                if self._depth.get(used, 0) % KEPT_EVERY != KEPT_EVERY - 1:
                    self.values.pop(used, None)

    def results(self) -> list[Any]:
        """What the graph gives."""
        given: Any = self.nodes[-1].args[0]
        return fx.map_arg(list(given), lambda each: self.values[each.name])

    def keep(self, name: str, value: Any) -> None:
        """A value is known, for the first time or anew."""
        self.values[name] = value
        if name in self.parts.places and isinstance(value, torch.Tensor):
            self._samples[name] = _sample(value)
            self._watch(name, value)

    def is_as_before(self, name: str, value: Any) -> bool:
        """Whether a value is what the run made of it."""
        known = self._samples.get(name)
        if known is None or not isinstance(value, torch.Tensor):
            return False
        sample = _sample(value)
        scale = float(known.double().abs().nan_to_num().amax()) if len(known) else 0.0
        same = torch.isclose(sample.double(), known.double(), rtol=0, atol=1e-5 * scale, equal_nan=True)
        return sample.shape == known.shape and bool(same.all())

    def _step(self, node: fx.Node) -> Any:
        op, glue = self.parts.ops.get(node.name), self.parts.glue.get(node.name)
        if op is not None:
            return self._at_op(OpCall(op, self.values[op.reads], shape_of(node), lambda: self.own(node, self.values)))
        if glue is not None:
            before = max((self._depth.get(name, 0) for name in glue.reads), default=0)
            self._depth[node.name] = (before + 1) % KEPT_EVERY
            for name in glue.parameters:
                self._enter(name)
        return computed(node, self.values)

    def _enter(self, name: str) -> None:
        """A parameter that enters glue for the first time is an op; what is made of it is made again."""
        if name in self._entered:
            return
        self._entered.add(name)
        own, op = self.values[name], self.parts.ops[name]
        self.values[name] = self._at_op(OpCall(op, own, tuple(own.shape), lambda: own))
        waiting = [self.index[name]]
        while waiting:
            for user in self.nodes[heapq.heappop(waiting)].users:
                if self.index[user.name] < self.position and user.name in self.values:
                    self.values[user.name] = computed(user, self.values)
                    heapq.heappush(waiting, self.index[user.name])

    def own(self, node: fx.Node, values: Mapping[str, Any]) -> torch.Tensor:
        """What the module itself computes, with the calls that its op is made of."""
        inner = [parent for parent in node.all_input_nodes if parent.name in self.parts.hidden]
        made: dict[str, Any] = {each.name: computed(each, values) for each in inner}
        result: torch.Tensor = computed(node, ChainMap(made, cast("MutableMapping[str, Any]", values)))
        return result

    def result_names(self) -> list[str]:
        """The names of the values that the graph gives."""
        return [each.name for each in self.nodes[-1].all_input_nodes]


class WhatIf:
    """The same run, had some ops given something else. Nothing of it is real until ``commit``.

    Differences are followed in the order of the run as far as they reach, and no further than the run has come.
    """

    def __init__(self, session: Session, given: Given, changed: Mapping[str, torch.Tensor]) -> None:
        self._session, self._given = session, given
        self._memo: dict[str, Any] = {}
        self._differs: set[str] = set()
        self._waiting: list[int] = []
        for name, value in changed.items():
            self.put(name, value)

    def put(self, name: str, value: Any) -> None:
        """An op gives something else: what reads it differs."""
        session = self._session
        self._memo[name] = value
        self._differs.add(name)
        for user in session.nodes[session.index[name]].users:
            position = session.index[user.name]
            if position <= session.position and user.op == "call_function" and position not in self._waiting:
                heapq.heappush(self._waiting, position)

    def next_op(self) -> str | None:
        """The next op that reads something else than it did; None where nothing more differs."""
        session = self._session
        while self._waiting:
            node = session.nodes[heapq.heappop(self._waiting)]
            name: str = node.name
            if name in self._differs:
                continue
            if name in session.parts.ops:
                return name
            value = self.value(name)
            if name in session.parts.hidden or not session.is_as_before(name, value):
                self.put(name, value)
        return None

    def value(self, name: str) -> Any:
        """A value of the run so far, as it would be."""
        waiting = [name]
        while waiting:
            current = waiting[-1]
            if current not in self._memo:
                found = self._known(current)
                if found is None:
                    node = self._session.nodes[self._session.index[current]]
                    missing = [each.name for each in node.all_input_nodes if each.name not in self._memo]
                    if missing:
                        waiting += missing
                        continue
                    found = computed(node, self._memo)
                self._memo[current] = found
            waiting.pop()
        return self._memo[name]

    def _known(self, name: str) -> Any:
        session = self._session
        node = session.nodes[session.index[name]]
        stale = any(parent.name in self._differs for parent in node.all_input_nodes)
        if not stale and name in session.values:
            return session.values[name]
        if name in session.parts.ops and (given := self._given(name)) is not None:
            return given
        return session.leaves.get(name)

    def results(self) -> list[Any]:
        """What the graph would give."""
        given: Any = self._session.nodes[-1].args[0]
        return fx.map_arg(list(given), lambda each: self.value(each.name))

    def commit(self) -> None:
        """Make it real: the run goes on from here."""
        session = self._session
        for name in sorted(self._differs, key=session.index.__getitem__):
            there = name in session.values
            session.keep(name, self._memo[name])
            if not there:
                del session.values[name]


def computed(node: fx.Node, values: Mapping[str, Any]) -> Any:
    """What a call gives on these values."""
    args = fx.map_arg(node.args, lambda each: values[each.name])
    kwargs = fx.map_arg(node.kwargs, lambda each: values[each.name])
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _sample(value: torch.Tensor) -> torch.Tensor:
    flat = value.reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLED)][: SAMPLED + 1].clone()


def _last_uses(nodes: Sequence[fx.Node], parts: GraphParts) -> dict[int, list[str]]:
    """Position → names of the calls' values that nothing behind it takes.

    What a hidden call takes is its reader's. What is made of weights may be made again, and keeps what it is made of.
    """
    hidden = parts.hidden
    last: dict[str, int] = {}
    for place, node in enumerate(nodes):
        constant = node.op == "call_function" and node.name not in parts.places and node.name not in hidden
        position = len(nodes) if constant else place
        taken = [parent for parent in node.all_input_nodes if parent.name in hidden]
        for parent in (*node.all_input_nodes, *(each for inner in taken for each in inner.all_input_nodes)):
            last[parent.name] = position
    found: dict[int, list[str]] = {}
    for position, node in enumerate(nodes):
        if node.op == "call_function":
            found.setdefault(last.get(node.name, position), []).append(node.name)
    return found
