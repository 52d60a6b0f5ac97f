"""Where everything stands in the user's module, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..fit import Fit
from ..plan import Array, Move, Plan


@dataclass(frozen=True)
class Finding:
    """One difference that weights cannot mend, or one thing the user should know.

    Attributes:
        severity: "error" (outputs differ by it), "warning" (may differ on other inputs), "note".
        place: module path in the user's module ("blocks.2.bn").
        layer: Keras layer path ("bn_3").
        cause: a sentence without full stop, with both values.
        fix: the line of code or config that mends it.
    """

    severity: str
    place: str
    layer: str
    cause: str
    fix: str

    RANK: ClassVar[tuple[str, ...]] = ("error", "warning", "note")

    def __str__(self) -> str:
        return f"{self.severity}: {self.place} (Keras layer {self.layer}): {self.cause}: {self.fix}"


@dataclass(frozen=True)
class AlignedLayer:
    """Where a Keras layer's value stands in the user's module.

    Attributes:
        boundary: the Boundary's name.
        place: module path and operation, for people ("blocks.2.bn", "blocks.2 relu").
        node: name of the value in the graph that was read from the user's module.
        moves: from the module's value to the Keras array.
    """

    boundary: str
    place: str
    node: str
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Lost:
    """A candidate that a key was not given to.

    Attributes:
        layer: the Keras layer.
        variables: the paths of the variables that the key would have held.
        reason: why not: half a sentence ("reads the same, and what follows in the module does not fit").
    """

    layer: str
    variables: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Placement:
    """Why a key holds what its Recipe says.

    Attributes:
        kind: what decided: "values", "structure", "names", "hint", or "constant" (Keras has nothing for it).
        place: the call in the user's module.
        layer: the Keras layer.
        sentence: the evidence.
        lost: the candidates that were not taken.
    """

    kind: str
    place: str
    layer: str
    sentence: str
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True)
class Extraction:
    """Stage 5: the user's module aligned with the imported one.

    Attributes:
        plan: key → Recipe.
        state: the plan applied: key → array, bit-equal to its sources, to be read only: it may be their memory.
        reading: what can run the module and show its inner values again (a type of stages/torch_graph).
        fit: how the module takes Keras' inputs and gives Keras' outputs. An output may be a Keras layer's: the module
            then gives that layer's value, and compared is that.
        not_given: Keras outputs that the module does not give → the Keras layer that it gives instead, or ""; not
            compared.
        ends: Keras layers whose values are the last that layers with the module's own weights read; compared as
            outputs.
        layers: the aligned boundaries.
        unaligned: boundary name → why it has no counterpart; reported as not compared.
        findings: worst first.
        evidence: key → why it holds what the plan says, and the candidates that lost.
        padding: input name → what the steps are full of that Keras hides, where the module's layers have other values.
    """

    plan: Plan
    state: Mapping[str, Array]
    reading: Any
    fit: Fit
    not_given: Mapping[str, str]
    layers: tuple[AlignedLayer, ...]
    unaligned: Mapping[str, str]
    findings: tuple[Finding, ...]
    ends: tuple[str, ...] = ()
    evidence: Mapping[str, Placement] = field(default_factory=dict)
    padding: Mapping[str, float] = field(default_factory=dict)

    def check(self) -> None:
        assert set(self.state) == set(self.plan.recipes), "the state is not the plan's"
