"""Two branches that exchange all that is in them: an op of one takes what an op of the other still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..torch_graph import Op
from .holdings import Holdings
from .pairs import Pair


class Exchange:
    """What a trial lets go of, so that the ops before it can have it, until it is reached itself.

    Nothing is let go before an op finds all that it could be held by others: few trials come to that.
    """

    def __init__(self, ops: Mapping[str, Op], pairs: Mapping[str, Pair], held: Holdings) -> None:
        self._ops, self._pairs, self._held = ops, pairs, held
        self._loose: set[str] = set()
        self.begun = False

    def begin(self, reached: Iterable[str]) -> None:
        """Let go of what stands behind the ops ``reached`` and has not been reached."""
        self.begun = True
        reached = set(reached)
        behind = set(reached)
        for name, op in self._ops.items():
            if op.sources & behind:
                behind.add(name)
        placed = {name: self._pairs[name] for name in behind - reached if name in self._pairs}
        whole = (name for name, pair in placed.items() if pair.match.is_one_whole_call)
        self._loose = {name for name in whole if placed[name].by_values}
        for name in self._loose:
            self._held.release(name)

    def is_loose(self, name: str) -> bool:
        """Whether it has to look for what it holds again."""
        return name in self._loose

    def settle(self, name: str) -> None:
        """It holds something again."""
        self._loose.discard(name)

    def end(self) -> bool:
        """Give back what was not reached; False where somebody else has it now."""
        for name in self._loose:
            match = self._pairs[name].match
            if not all(self._held.is_free(each.name) for each in match.references):
                return False
            self._held.hold(self._ops[name], match)
        return True
