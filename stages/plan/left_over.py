"""What takes no part in a Plan, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import parse
from .moves import Shape


@dataclass(frozen=True)
class LeftOver:
    """A Keras variable, or a key, that takes no part, and the reason."""

    name: str
    shape: Shape
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "reason": self.reason}

    @classmethod
    def from_json(cls, data: object) -> LeftOver:
        """The inverse of ``to_json``; ValueError where the data is none."""
        fields = parse.record(data, "left-over", "name", "shape", "reason")
        return cls(
            parse.text(fields["name"], "name"), parse.shape(fields["shape"]), parse.text(fields["reason"], "reason")
        )
