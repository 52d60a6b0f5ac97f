"""The Stage protocol, and what a run of stages keeps."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """How a stage tells what it is doing. The pipeline shows it; a stage never prints."""

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """What is being done now, and how far along it is where that is known."""


class Silent:
    """The Progress of somebody who does not want any."""

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say nothing."""


class Artifact(Protocol):
    """What a stage gives: it can say whether it is whole (AssertionError: a bug in the stage)."""

    def check(self) -> None: ...


class Artifacts:
    """The artifacts of one conversion, each kept under its class."""

    def __init__(self, *artifacts: Artifact) -> None:
        self._kept: dict[type, Any] = {type(artifact): artifact for artifact in artifacts}

    def __getitem__(self, kind: type[T]) -> T:
        found: T = self._kept[kind]
        return found

    def __contains__(self, kind: type) -> bool:
        return kind in self._kept

    def add(self, artifact: Artifact) -> None:
        self._kept[type(artifact)] = artifact


class Stage(Protocol):
    """One of the six steps."""

    name: ClassVar[str]
    needs: ClassVar[tuple[type, ...]]
    gives: ClassVar[type]

    def run(self, artifacts: Artifacts, progress: Progress) -> Artifact:
        """Read from ``artifacts``, give one artifact of type ``gives``."""


def run_stage(stage: Stage, artifacts: Artifacts, progress: Progress) -> None:
    """Run one stage under its contract and keep what it gives."""
    missing = [kind.__name__ for kind in stage.needs if kind not in artifacts]
    assert not missing, f"stage {stage.name} needs {missing}, which no stage before it gave"
    artifact = stage.run(artifacts, progress)
    assert isinstance(artifact, stage.gives), f"stage {stage.name} gave {type(artifact).__name__}"
    artifact.check()
    artifacts.add(artifact)
