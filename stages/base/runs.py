"""What the runtimes computed, and how that compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..plan import Array
from .alignment import Finding
from .job import Tolerance


@dataclass(frozen=True)
class Agreement:
    """How two arrays of one name compare.

    ``max_rel`` and ``mean_abs`` … are over all elements; ``max_rel`` is ``max|a-b| / max|b|``; ``cosine`` is of the
    flattened arrays. ``reason`` says why they do not agree ("shape (2, 3) against (3, 2)", "NaN at (0, 4) on both
    sides"); empty where they do.
    """

    name: str
    runtimes: tuple[str, str]
    max_abs: float
    mean_abs: float
    max_rel: float
    cosine: float
    agrees: bool
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """What one runtime computed, in Keras layout.

    Attributes:
        outputs: output name → array, all samples.
        layers: boundary name → array, in execution order, the first ``Job.probe_samples`` samples, or fewer (never
            none) where that many would not fit into memory.
    """

    outputs: Mapping[str, Array]
    layers: Mapping[str, Array]


@dataclass(frozen=True)
class Verification:
    """Stage 3: ONNX Runtime, raw and normalised, against Keras.

    Attributes:
        keras, raw, normalized: what each computed. The raw graph runs the samples that are compared layer by layer,
            no others, and its layers are compared and let go: ``raw.layers`` is empty.
        agreements: every layer in execution order, raw then normalised, and then every output.
        unkept: boundary name → why its value is not in a graph; not compared.
        tolerance: when ONNX Runtime and another runtime agree; its own where it cannot compute in the job's precision.
    """

    keras: Run
    raw: Run
    normalized: Run
    agreements: tuple[Agreement, ...]
    unkept: Mapping[str, str] = field(default_factory=dict)
    tolerance: Tolerance | None = None

    @property
    def first_difference(self) -> Agreement | None:
        """The first layer in execution order that does not agree, or the first output."""
        return next((row for row in self.agreements if not row.agrees), None)

    @property
    def verified(self) -> bool:
        return bool(self.agreements) and self.first_difference is None

    def check(self) -> None:
        assert self.agreements, "nothing was compared"


@dataclass(frozen=True)
class Comparison:
    """Stage 6: Keras, ONNX Runtime and the user's module on identical inputs.

    Attributes:
        outputs: every output, for each pair of runtimes.
        layers: every compared layer in execution order, for each pair of runtimes.
        not_compared: boundary name → why.
        accuracy: runtime → share of samples whose largest output is the label; empty without labels.
        findings: worst first.
    """

    outputs: tuple[Agreement, ...]
    layers: tuple[Agreement, ...]
    not_compared: Mapping[str, str]
    accuracy: Mapping[str, float]
    findings: tuple[Finding, ...]

    @property
    def first_difference(self) -> Agreement | None:
        """The first layer in execution order that does not agree, or the first output."""
        return next((row for row in (*self.layers, *self.outputs) if not row.agrees), None)

    @property
    def verified(self) -> bool:
        """Outputs and layers within tolerance, and no finding of severity "error"."""
        return (
            bool(self.outputs)
            and self.first_difference is None
            and not any(finding.severity == "error" for finding in self.findings)
        )

    def check(self) -> None:
        assert self.outputs, "no output was compared"
