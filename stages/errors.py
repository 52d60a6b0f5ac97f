"""Every error torchgraft raises for a cause outside torchgraft itself, and its exit code.

A message says what happened, where, what was received and what to do next. A bug in torchgraft is not
in this tree: it keeps its traceback.

    TorchgraftError
    ├── UsageError            2  the command line or the configuration is wrong
    ├── RefusedError          3  the policy forbids the input
    ├── CorruptInputError     4  a file is empty, truncated, or not what it claims to be
    ├── UnsupportedError      5  a layer, an option or a module that torchgraft does not handle
    ├── MappingError          6  the module's state_dict cannot be filled completely, or the module is broken
    ├── DifferenceError       7  the runtimes do not agree
    ├── ResourceError         8  disk, memory or time ran out
    ├── LockedError           9  somebody else is using the file or the folder
    └── WorkerCrashedError   10  the process of a job died
"""

from __future__ import annotations

from typing import ClassVar


class TorchgraftError(Exception):
    """Base of the tree.

    Args:
        what: one sentence, without a full stop at the end: what is wrong and what was received.
        where: the place it was met at: a config line, a layer path, a module path, a file.
        fix: what the user can do about it, as one sentence.
        details: more lines, printed below the message (a table of keys, for example).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "", details: tuple[str, ...] = ()) -> None:
        super().__init__(what, where, fix, details)
        self.what = what
        self.where = where
        self.fix = fix
        self.details = details

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        tail = (f"To fix it: {self.fix}",) if self.fix else ()
        return "\n".join((head, *self.details, *tail))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix, self.details)


def _rebuild(kind: type[TorchgraftError], what: str, where: str, fix: str, details: tuple[str, ...]) -> TorchgraftError:
    return kind(what, where=where, fix=fix, details=details)


class UsageError(TorchgraftError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class RefusedError(TorchgraftError):
    """The policy forbids the input."""

    exit_code = 3


class CorruptInputError(TorchgraftError):
    """A file is empty, truncated, or not what it claims to be."""

    exit_code = 4


class UnsupportedError(TorchgraftError):
    """A layer, an option or a module that torchgraft does not handle."""

    exit_code = 5


class MappingError(TorchgraftError):
    """The module's state_dict cannot be filled completely, or the module itself is broken."""

    exit_code = 6


class DifferenceError(TorchgraftError):
    """The runtimes do not agree, or cannot be compared (NaN, Inf, a module that is not deterministic)."""

    exit_code = 7


class ResourceError(TorchgraftError):
    """Disk, memory or time ran out."""

    exit_code = 8


class LockedError(TorchgraftError):
    """Somebody else is using the file or the folder."""

    exit_code = 9


class WorkerCrashedError(TorchgraftError):
    """The process of a job died."""

    exit_code = 10
