"""Stage 5: the user's module is aligned with the imported one, and the Plan is made and applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from ..base import Artifacts, ExportedGraph, Extraction, ImportedModule, Job, NormalizedGraph, Progress
from ..errors import MappingError
from ..fit import Fit, OutputFit
from ..fit.names import LINEAR
from ..keras_layers import layer_paths
from ..torch_graph import floating_dtype, kept
from .absorb import absorptions
from .addends import exchanged_biases
from .confirm import Confirmation, confirm
from .dtypes import computing_in, in_dtype_of, in_own_dtypes, refuse_overflow
from .findings import Context, find
from .findings.whole_run import told_of_a_whole_run
from .guesses import guesses, said
from .make_plan import make_plan
from .outputs import Placed, Wanted, WantedOutput, place_outputs, sources_of
from .partial import Ends, compared_ends, ends_of, left_behind, refuse_early_end
from .placements import placements
from .preprocessing import computed, fronts, in_front, untrained
from .reference import Reference, read_reference
from .results import Twice, as_keras, layer_candidates, place_layers, tells_alone
from .search import Found, search
from .stated import refuse_wrong_hints, stated_of
from .statistics import refuse_missing_counters


class Extract:
    """See ``Stage``. Without a module of the user's, the imported one is the target."""

    name: ClassVar[str] = "extract"
    needs: ClassVar[tuple[type, ...]] = (Job, ExportedGraph, NormalizedGraph, ImportedModule)
    gives: ClassVar[type] = Extraction

    def run(self, artifacts: Artifacts, progress: Progress) -> Extraction:
        with computing_in(floating_dtype(artifacts[ImportedModule].module)):
            return self._run(artifacts, progress)

    def _run(self, artifacts: Artifacts, progress: Progress) -> Extraction:
        job, graph, imported = artifacts[Job], artifacts[NormalizedGraph], artifacts[ImportedModule]
        variables = artifacts[ExportedGraph].variables
        module = imported.module if job.module is None else job.module
        refuse_missing_counters(module)
        own, module = module, in_dtype_of(module, imported.module)
        progress.step("reading the imported module")
        reference = read_reference(job, graph, imported)
        progress.step("aligning the modules")
        mapping = stated_of(job, list(module.state_dict()), list(variables))
        before = fronts(reference, graph.boundaries, untrained(job), computed(job))
        found = search(module, reference, graph.outputs, before, stated=job.fit, mapping=mapping)
        reference = found.reference
        absorbed = tuple(absorptions(found.alignment, found.reading, reference.reading))
        exchanged = exchanged_biases(found.alignment, found.reading)
        ends = ends_of(found)
        choices = tuple(guesses(found, mapping, departed=not ends.values))
        said(found.alignment, choices)
        with told_of_a_whole_run(found.reading):
            plan = make_plan(
                module,
                found.alignment,
                absorbed,
                imported.recipes,
                variables,
                exchanged=exchanged,
                not_needed={
                    **dict.fromkeys(computed(job), "the options of its layer give it, and a module need not hold it"),
                    **left_behind(ends, reference),
                    **in_front(found.taken, reference.numbers),
                },
                allowed=mapping.allowed,
            )
        evidence = placements(plan, found.alignment, reference, found.probe, choices)
        plan = in_own_dtypes(plan, own)
        state = plan.view(variables)
        refuse_overflow(plan, variables, state, job.module_source)
        refuse_wrong_hints(mapping, plan, evidence, job.module_source)
        progress.step("confirming on a second probe")
        inner = _reference_values(graph, reference, found.probe.kept)
        wanted = {name: reference.places[name] for name in inner}
        candidates = layer_candidates(
            wanted, reference.reading, found.probe.marks, found.reading, found.alignment.marks
        )
        if (
            reference.shown
        ):  # where the samples end early, what takes their last step stands behind the last step of all
            candidates = {name: nodes[::-1] for name, nodes in candidates.items()}
        second = confirm(reference, found, {node for nodes in candidates.values() for node in nodes})
        wide = _reference_values(graph, reference, second.probe.kept)
        values = {name: Twice(value, wide[name]) for name, value in inner.items()}
        placed = _outputs(module, job, graph, found, second, values=values, ends=ends)
        doubtful = [name for name, value in values.items() if not tells_alone(value.wide)]
        first = _values(found, {node for name in doubtful for node in candidates[name]})
        layers, unaligned = place_layers(
            graph.boundaries,
            values,
            candidates,
            second.kept,
            first,
            reading=found.reading,
            biasless={
                **{name: each.norm.target.place for each in absorbed for name in each.between},
                **{
                    name: found.alignment.pairs[holder].target.place
                    for holder, each in exchanged.items()
                    for name in (holder, each.target.name)
                },
            },
        )
        progress.step("applying the plan")
        return Extraction(
            plan=plan,
            state=state,
            reading=found.reading,
            fit=Fit(found.trial.inputs, placed.fits, found.trial.options),
            not_given=placed.missing,
            ends=compared_ends(found, layers),
            layers=layers,
            padding=reference.padding if reference.shown else {},
            unaligned={**graph.unkept, **unaligned, **_left_to_caller(found, placed, unaligned)},
            findings=find(
                Context(
                    found,
                    reference,
                    graph.outputs,
                    placed,
                    second,
                    kept=frozenset(left.name for left in plan.unmatched),
                    layers={} if job.model is None else layer_paths(job.model),
                    stated_ends=frozenset(fit.value for fit in job.fit.outputs.values() if fit.value),
                    guesses=choices,
                )
            ),
            evidence=evidence,
        )


def _outputs(
    module: nn.Module,
    job: Job,
    graph: NormalizedGraph,
    found: Found,
    second: Confirmation,
    *,
    values: Mapping[str, Twice],
    ends: Ends,
) -> Placed:
    """What the module gives for each Keras output. ``values``: those of Keras' layers, in execution order."""
    boundaries = {boundary.name: boundary for boundary in graph.boundaries}
    inner = {name: Wanted(boundaries[name], value) for name, value in values.items()}
    wanted = []
    for port, narrow, wide, expected in zip(
        graph.outputs, found.probe.outputs, second.probe.outputs, found.expected, strict=True
    ):
        sources = sources_of(found.reference, expected.names, graph.boundaries)
        wanted.append(
            WantedOutput(
                port,
                as_keras(port, narrow, wide),
                expected.place,
                tuple(inner[name] for name in sources if name in inner),
                job.fit.outputs.get(port.name, OutputFit()),
            )
        )
    given = [Twice(*each) for each in zip(found.alignment.outputs, second.outputs, strict=True)]
    placed = place_outputs(wanted, list(inner.values()), given, found.reading.returned, own=ends.own)
    shapes = {each.port.name: tuple(each.value.narrow.shape) for each in (*inner.values(), *wanted)}
    refuse_early_end(placed, shapes, job)
    missing = [name for name, layer in placed.missing.items() if not layer]
    if missing and not ends.values:
        raise MappingError(
            f"forward gives {len(given)} tensors, none of them is Keras' {', '.join(missing)}",
            where=type(module).__name__,
            fix="return every output of the Keras model from forward",
        )
    return placed


def _left_to_caller(found: Found, placed: Placed, unaligned: Mapping[str, str]) -> dict[str, str]:
    """Layer → why the module does not compute it, of those in front of what it takes and behind what it gives."""
    skipped = {
        front.name: f"preprocessing that the module leaves to its caller: it takes what {taken.name} gives"
        for taken in found.taken
        for front in found.fronts
        if front.input == taken.input
    }
    for output, expected in zip(found.reference.outputs, found.expected, strict=True):
        fit = placed.fits.get(output, OutputFit())
        if output not in placed.guessed and (fit.value or fit.activation not in (None, LINEAR)):
            behind = {name for name, place in found.reference.places.items() if place in expected.names}
            reason = f"the module leaves it to its caller; done on what it gives, it is compared as the output {output}"
            skipped |= dict.fromkeys(behind, reason)
    return {name: reason for name, reason in skipped.items() if name in unaligned}


def _reference_values(
    graph: NormalizedGraph, reference: Reference, kept: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Boundary name → the reference's value, in Keras layout."""
    return {
        boundary.name: torch.from_numpy(boundary.to_keras(kept[place].numpy()))
        for boundary in graph.boundaries
        if (place := reference.places.get(boundary.name, "")) in kept
    }


def _values(found: Found, names: set[str]) -> dict[str, torch.Tensor]:
    """The module's values of these names under the first probe: one more run, along the alignment found."""
    values: dict[str, torch.Tensor] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if name in names:
            values[name] = kept(found.reading, value)

    found.reading.run(found.inputs, found.state, found.alignment.replay(found.probe), watch)
    return values
