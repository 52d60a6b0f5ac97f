"""Ops that read the same, among which there is a choice, and what has fitted where there was one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..torch_graph import Op
from .holdings import Holdings
from .orders import Order
from .pairs import Match, Pair

Section: TypeAlias = tuple[int, int]


@dataclass
class Group:
    """Ops of the user's module that read the same, and what they may be.

    Attributes:
        members: names, in execution order.
        rivals: the reference's ops that read it.
    """

    members: list[str] = field(default_factory=list)
    rivals: tuple[Op, ...] = ()


class Groups:
    """The groups of one run, and what has been learned from choices made otherwise.

    Attributes:
        of_op: name of an op of the module → its group.
        worked: orders of features that have fitted, the last one first.
    """

    def __init__(self, ops: Mapping[str, Op]) -> None:
        self._ops = ops
        self._groups: dict[tuple[tuple[str, ...], Section | None], Group] = {}
        self._patterns: dict[int, tuple[int, ...]] = {}
        self.of_op: dict[str, Group] = {}
        self.worked: list[Order] = []

    def join(self, op: Op, pair: Pair) -> None:
        """The ops that read the same are a group, where there is a choice between them."""
        if op.name in self.of_op:
            self.of_op.pop(op.name).members.remove(op.name)
        if len(pair.equals) < 2 and (pair.match.is_plain or not pair.by_values):
            return
        key = pair.equals or tuple(each.name for each in pair.match.references)
        rivals = tuple(self._ops[name] for name in key)
        group = self._groups.setdefault((key, pair.match.section), Group(rivals=rivals))
        group.members.append(op.name)
        self.of_op[op.name] = group

    def learn(self, trial: Mapping[str, Match], held: Holdings) -> None:
        """What worked is tried first from now on."""
        for match in trial.values():
            if match.order is not None and match.order not in self.worked:
                self.worked.insert(0, match.order)
        for group in (self.of_op[name] for name in trial if name in self.of_op):
            rivals = [each.name for each in group.rivals]
            taken = [held.matches[name].references[0].name for name in group.members if name in held.matches]
            if len(taken) == len(rivals) and sorted(taken) == sorted(rivals):
                self._patterns[len(rivals)] = tuple(rivals.index(name) for name in taken)

    def as_elsewhere(self, op: Op, equals: Sequence[str], section: Section | None) -> str:
        """Which of ``equals`` it is as groups of this size have been before; "" where there was none."""
        pattern = self._patterns.get(len(equals))
        if pattern is None:
            return ""
        group = self._groups.get((tuple(equals), section))
        members = group.members if group else []
        place = members.index(op.name) if op.name in members else len(members)
        return equals[pattern[place % len(pattern)]]
