"""Taking choices back where what follows does not fit: near ones first, and only as far as they reach.

What an op reads depends on the choices made for the ops before it: which of equal candidates, and in which order one
gives its features. Where it reads nothing that the reference has, these are made otherwise, one trial after the other;
a trial runs the glue between the ops that it changes and the one that did not fit, and no more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..torch_graph import PARAMETER, Op, Reading
from .candidates import output_size
from .groups import Group
from .orders import Order, by_head_and_otherwise, by_part, orders
from .pairs import Match

#: Ops that are looked at on the way back, and groups of equals and ops with an order among them.
LOOKED_AT, GROUPS, ORDERED = 60, 6, 8
#: Assignments of one group that are tried.
ASSIGNMENTS = 120

#: How many units a block may have that is there several times (q, k and v of each head).
IN_BLOCK = (3, 2, 4)

Trial: TypeAlias = dict[str, Match]


@dataclass(frozen=True)
class Choices:
    """The choices before an op that did not fit, nearest first.

    Attributes:
        groups: those with more than one way.
        ordered: ops whose features may stand in another order, those that reach it through glue alone.
    """

    groups: Sequence[Group]
    ordered: Sequence[Op]


def choices_before(
    reading: Reading, starts: Sequence[str], group_of: Mapping[str, Group], placed: Mapping[str, Match]
) -> Choices:
    """The choices that the values ``starts`` depend on."""
    groups: dict[int, Group] = {}
    ordered: dict[str, Op] = {}
    waiting: list[tuple[str, bool]] = [(name, True) for name in starts]
    seen: set[str] = set()
    looked = 0
    while waiting and looked < LOOKED_AT:
        name, near = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        op = reading.ops.get(name)
        if op is None:
            glue = reading.glue.get(name)
            waiting += [(read, near) for read in (*glue.reads, *glue.parameters)] if glue else []
            continue
        looked += 1
        if name in group_of and name in placed:
            groups.setdefault(id(group_of[name]), group_of[name])
        if near and op.mixes and name in placed:
            ordered[name] = op
        if op.reads:
            waiting.append((op.reads, near and op.keeps_channels))
    return Choices(list(groups.values())[:GROUPS], list(ordered.values())[:ORDERED])


def trials(
    found: Choices,
    placed: Mapping[str, Match],
    ops: Mapping[str, Op],
    is_free: Callable[[str], bool],
    worked: Sequence[Order],
) -> Iterator[Trial]:
    """Other ways to make these choices, likeliest first.

    1. An order that has worked elsewhere in the module.
    2. Another assignment of one group.
    3. Another order of the features: of all near ops alike, then of one alone.
    4. Two groups at once; a group and an order.
    """
    assignments = [list(_assignments(group, placed, ops, is_free)) for group in found.groups]
    yield from _ordered(found.ordered, placed, lambda size: (order for order in worked if order.fits(size)))
    for group in assignments:
        yield from group
    yield from _ordered(found.ordered, placed, orders)
    for one, other in itertools.combinations(assignments, 2):
        yield from ({**first, **second} for first, second in itertools.product(one[:12], other[:12]))
    for group in assignments[:2]:
        for trial in group[:12]:
            both = {op.name: trial.get(op.name, placed[op.name]) for op in found.ordered}
            yield from ({**trial, **more} for more in _ordered(found.ordered, both, by_part))
    yield from _ordered(found.ordered, placed, by_head_and_otherwise)


def _ordered(
    near: Sequence[Op], placed: Mapping[str, Match], hypotheses: Callable[[int], Iterator[Order]]
) -> Iterator[Trial]:
    by_size: dict[int, list[Op]] = {}
    for op in near:
        by_size.setdefault(_ordered_size(op, placed[op.name]), []).append(op)
    for size, ops in by_size.items():
        for order in hypotheses(size):
            yield {op.name: replace(placed[op.name], order=order) for op in ops}
    for size, ops in by_size.items():
        if len(ops) > 1:
            for order in hypotheses(size):
                yield from ({op.name: replace(placed[op.name], order=order)} for op in ops)


def _ordered_size(op: Op, match: Match) -> int:
    """How many features an order is about: all that the references give."""
    return output_size(match.references[0]) if match.part else output_size(op)


def _assignments(
    group: Group, placed: Mapping[str, Match], ops: Mapping[str, Op], is_free: Callable[[str], bool]
) -> Iterator[Trial]:
    """Every other assignment of what the group holds, and of what is free, to its members."""
    members = [name for name in group.members if name in placed]
    for name in members:
        joined = placed[name].references
        if len(joined) > 1:
            others = itertools.islice(itertools.permutations(joined), 1, ASSIGNMENTS)
            yield from ({name: replace(placed[name], references=other)} for other in others)
    sizes: dict[object, list[str]] = {}
    for name in members:
        if len(placed[name].references) == 1:
            sizes.setdefault(_size(ops[name]), []).append(name)
    for size, alike in sizes.items():
        held = [placed[name] for name in alike]
        taken = {match.references[0].name for match in held if match.part is None}
        free = [
            replace(held[0], references=(each,), part=None)
            for each in group.rivals
            if _size(each) == size and each.name not in taken and is_free(each.name)
        ]
        if held[0].part is not None:
            held += _other_parts(held, held[0].part[1] - held[0].part[0])
        units = [*held, *free[: 1 + ASSIGNMENTS // 20]]
        for order in itertools.islice(_selections(len(units), len(alike)), ASSIGNMENTS):
            assigned = [units[place] for place in order]
            if assigned != held[: len(alike)] and not _overlap(assigned):
                yield {name: match for name, match in zip(alike, assigned, strict=True) if match != placed[name]}


def _selections(count: int, wanted: int) -> Iterator[tuple[int, ...]]:
    """Which of ``count`` units each of ``wanted`` ops takes: all ways; of too many, blocks and exchanges come first.

    Where every output tells one op its unit, exchanges alone bring any order about, one after the other.
    """
    if math.perm(count, wanted) <= ASSIGNMENTS:
        yield from itertools.permutations(range(count), wanted)
        return
    alike = dict.fromkeys(order[:wanted] for order in _in_blocks(count))
    for one, other in itertools.combinations(range(count), 2):
        if one < wanted:
            order = list(range(count))
            order[one], order[other] = other, one
            alike[tuple(order[:wanted])] = None
    yield from alike
    yield from (order for order in itertools.permutations(range(count), wanted) if order not in alike)


def _in_blocks(count: int) -> Iterator[tuple[int, ...]]:
    """Units block by block (q, k and v of each head) or kind by kind, on either side, the kinds in any order."""
    for size in IN_BLOCK:
        if count % size:
            continue
        by_block = [range(start, start + size) for start in range(0, count, size)]
        by_kind = [range(kind, kind + count // size) for kind in range(0, count, count // size)]
        for order in itertools.permutations(range(size)):
            yield tuple(block[place] for block in by_block for place in order)
            yield tuple(block[place] for place in order for block in by_block)
            yield tuple(unit for place in order for unit in by_kind[place])
            yield tuple(by_kind[place][block] for block in range(count // size) for place in order)


def _other_parts(held: Sequence[Match], size: int) -> list[Match]:
    whole = output_size(held[0].references[0])
    taken = {match.part for match in held}
    starts = range(0, whole - size + 1, size) if whole % size == 0 else (0, whole - size)
    return [replace(held[0], part=(start, start + size)) for start in starts if (start, start + size) not in taken]


def _overlap(matches: Sequence[Match]) -> bool:
    parts = sorted(match.part for match in matches if match.part is not None)
    return any(second[0] < first[1] for first, second in itertools.pairwise(parts))


def _size(op: Op) -> object:
    if op.mixes:
        return output_size(op)
    return op.slots["value"].shape if op.kind == PARAMETER else 0
