"""Which op of the user's module holds which of the reference, so far, and under a trial."""

from __future__ import annotations

from collections import ChainMap
from typing import TypeAlias

from ..torch_graph import Op
from .pairs import Match

Holders: TypeAlias = frozenset[str]


class Holdings:
    """Matches by target op, holders by reference op, and by key what its first call was matched with."""

    def __init__(self) -> None:
        self.matches: ChainMap[str, Match] = ChainMap()
        self._holders: ChainMap[str, Holders] = ChainMap()
        self._keys: ChainMap[str, tuple[str, Match]] = ChainMap()

    def trial(self) -> Holdings:
        """The same, to be changed without changing this."""
        trial = Holdings()
        trial.matches, trial._holders = self.matches.new_child(), self._holders.new_child()
        trial._keys = self._keys.new_child()
        return trial

    def take(self, trial: Holdings) -> None:
        """What a trial changed becomes so."""
        self.matches.update(trial.matches.maps[0])
        self._holders.update(trial._holders.maps[0])
        self._keys.update(trial._keys.maps[0])

    def hold(self, op: Op, match: Match) -> None:
        self.matches[op.name] = match
        for each in (*match.references, *match.further):
            self._holders[each.name] = self._holders.get(each.name, frozenset()) | {op.name}
        for slot in op.slots.values():
            owner, _ = self._keys.get(slot.key, (op.name, match))
            if owner == op.name:
                self._keys[slot.key] = (op.name, match)

    def release(self, op: str) -> None:
        match = self.matches.get(op)
        if match is not None:
            for each in (*match.references, *match.further):
                self._holders[each.name] = self._holders.get(each.name, frozenset()) - {op}

    def is_free(self, reference: str) -> bool:
        return not self._holders.get(reference)

    def parts_of(self, reference: str) -> list[tuple[int, int]]:
        """The parts of it that are held; one that is held whole has none."""
        matches = (self.matches[name] for name in self._holders.get(reference, ()))
        return [match.part for match in matches if match.part is not None]

    def sections_of(self, reference: str) -> list[tuple[int, int]] | None:
        """What is read by the terms that hold it; None where it is held otherwise."""
        sections = [self.matches[name].section for name in self._holders.get(reference, ())]
        return None if None in sections else [section for section in sections if section is not None]

    def first_call(self, op: Op) -> Match | None:
        """What another call of one of its keys was matched with; None where it is the first."""
        for slot in op.slots.values():
            owner, match = self._keys.get(slot.key, (op.name, None))
            if match is not None and owner != op.name:
                return match
        return None
