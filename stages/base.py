"""The Stage protocol and the artifacts that pass between stages.

A stage reads artifacts and gives one. It never imports another stage: what it needs is in here. The runner
checks that what a stage ``needs`` is there, runs it, and checks what it gave with the artifact's own ``check``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .fit import Fit
from .hints import Hint
from .plan import Array, Move, Plan, Recipe, apply_moves, inverse_moves

if TYPE_CHECKING:
    import keras
    import onnx_ir
    import torch

T = TypeVar("T")


class Progress(Protocol):
    """How a stage tells what it is doing. The pipeline shows it; a stage never prints."""

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """What is being done now, and how far along it is where that is known."""


class Silent:
    """The Progress of somebody who does not want any."""

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Tolerance:
    """When two arrays agree: ``max|a - b| <= atol + rtol * max|b|``, b the Keras side, nothing NaN or Inf.

    Relative to the largest value of the array, not element by element: a float32 sum of n products errs by about
    ``sqrt(n) * 2**-24`` of its largest term, also where the terms cancel. 1e-4 is that for n around 1e6 (three
    runtimes, fifty layers) and still far below a wrong epsilon (1e-3 against 1e-5: 5e-4 at unit variance).
    ``reason`` says where another one comes from (see precision.py).
    """

    atol: float = 1e-6
    rtol: float = 1e-4
    reason: str = field(default="", compare=False)


@dataclass(frozen=True)
class Job:
    """What the user asked for.

    Attributes:
        model: the Keras model, in memory.
        module: the user's module, or None: the imported module is then the target.
        inputs: Keras input name → array, batch first, in Keras layout; all samples.
        labels: integer class labels, or None: then no accuracy is measured.
        tolerance: when arrays agree.
        probe_samples: how many of the samples are compared layer by layer.
        seed: of every random number.
        fit: what is stated of how the module takes Keras' inputs and gives Keras' outputs; the rest is found.
        hints: what is stated of the mapping: decides between candidates that values leave open.
        allow_unmatched: patterns of keys that keep the module's own values.
        model_source / module_source: where they came from, for messages ("lenet.keras", "net.py:LeNet5").
        model_notes: how the model was read, where that is not plain ("by tf_keras, because …"), for the summary.
    """

    model: keras.Model
    module: torch.nn.Module | None
    inputs: Mapping[str, Array]
    labels: Array | None = None
    tolerance: Tolerance = Tolerance()
    probe_samples: int = 4
    seed: int = 0
    model_source: str = "the Keras model"
    module_source: str = "the module"
    model_notes: tuple[str, ...] = ()
    fit: Fit = field(default_factory=Fit)
    hints: tuple[Hint, ...] = ()
    allow_unmatched: tuple[str, ...] = ()

    def check(self) -> None:
        lengths = {name: len(array) for name, array in self.inputs.items()}
        assert len(set(lengths.values())) == 1, f"inputs of different length: {lengths}"


@dataclass(frozen=True)
class Port:
    """An input or output of the model.

    ``apply_moves(moves, value)`` is the array as Keras has it; ``inverse_moves`` is the way to the graph's layout.

    Attributes:
        name: Keras' name of it.
        value: the name of the ONNX value.
        shape: as Keras has it, None where free (the batch).
        dtype: numpy name ("float32").
        moves: from the ONNX value to the Keras array; Transpose, Reorder and Flip only (the batch is free).
    """

    name: str
    value: str
    shape: tuple[int | None, ...]
    dtype: str
    moves: tuple[Move, ...] = ()

    def to_keras(self, array: Array) -> Array:
        return apply_moves(self.moves, array)

    def from_keras(self, array: Array) -> Array:
        return apply_moves(inverse_moves(self.moves), array)


@dataclass(frozen=True)
class Boundary(Port):
    """One output of one call of one Keras layer: where the three runtimes are compared.

    ``name`` is unique: the layer's path ("encoder/conv1"), "#1" after it for its second call, ":1" for its second
    output.

    Attributes:
        layer: the layer's path in the model.
        layer_class: "Conv2D".
    """

    layer: str = ""
    layer_class: str = ""


@dataclass(frozen=True)
class Graph:
    """An ONNX graph (opset 17, domain "torchgraft" for its local functions) whose weights are graph inputs.

    Attributes:
        model: the graph. Its inputs are ``inputs`` and then the weights, in any order.
        weights: name of a weight input → the Recipe that makes it from Keras variables.
        inputs, outputs, boundaries: see Port and Boundary.
        unkept: boundary name → why its value is not in the graph; reported as not compared.
    """

    model: onnx_ir.Model
    weights: Mapping[str, Recipe]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    boundaries: tuple[Boundary, ...]
    unkept: Mapping[str, str] = field(default_factory=dict)

    @property
    def batch(self) -> int | None:
        """How many samples it takes at once, where that is fixed (a stateful layer keeps a state for each)."""
        return next((port.shape[0] for port in self.inputs if port.shape[0] is not None), None)

    def check(self) -> None:
        values = {value.name for value in self.model.graph.inputs}
        for node in self.model.graph:
            values.update(value.name for value in node.outputs)
        for name in self.weights:
            assert name in values, f"weight {name} is no input of the graph"
        for port in (*self.inputs, *self.outputs, *self.boundaries):
            assert port.value in values, f"{port.name}: value {port.value} is not in the graph"
        names = [boundary.name for boundary in self.boundaries]
        assert len(names) == len(set(names)), "two boundaries of one name"


@dataclass(frozen=True)
class ExportedGraph(Graph):
    """Stage 1: the graph as Keras computes it (NHWC), each weight input one Keras variable.

    Attributes:
        variables: path → value of every variable of the model, also of those that the graph does not use.
    """

    variables: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewrite:
    """What one rule did, or why it did not apply, at one node."""

    rule: str
    node: str
    applied: bool
    reason: str


@dataclass(frozen=True)
class NormalizedGraph(Graph):
    """Stage 2: the same graph, channel-first, weight-side moves taken into the recipes."""

    rewrites: tuple[Rewrite, ...] = ()


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
class ImportedModule:
    """Stage 4: the normalised graph as an ``fx.GraphModule`` by onnx2torch.

    Attributes:
        module: takes the graph's inputs in order (normalised layout), gives its outputs: one tensor, or a tuple.
        recipes: key of its state_dict → Recipe.
        places: boundary name → name of the ``fx.Node`` whose value it is.
    """

    module: torch.fx.GraphModule
    recipes: Mapping[str, Recipe]
    places: Mapping[str, str]

    def check(self) -> None:
        missing = set(self.module.state_dict()) ^ set(self.recipes)
        assert not missing, f"parameters without a recipe, or recipes without a parameter: {sorted(missing)}"


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

    def check(self) -> None:
        assert set(self.state) == set(self.plan.recipes), "the state is not the plan's"


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
