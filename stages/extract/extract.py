"""Stage 5: the user's module is aligned with the imported one, and the Plan is made and applied."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ..base import Artifacts, ExportedGraph, Extraction, ImportedModule, Job, NormalizedGraph, Progress
from ..fit import Fit
from ..keras_layers import layer_paths
from ..torch_graph import floating_dtype
from .absorb import absorptions
from .addends import exchanged_biases
from .dtypes import computing_in, in_dtype_of, in_own_dtypes, refuse_overflow
from .findings import Context, find
from .findings.whole_run import told_of_a_whole_run
from .guesses import guesses, said
from .locate import locate
from .make_plan import make_plan
from .partial import compared_ends, ends_of, left_behind
from .placements import placements
from .preprocessing import computed, fronts, in_front, untrained
from .reference import read_reference
from .search import search
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
        found = replace(found, probe=found.probe.without_reads())
        progress.step("confirming on a second probe")
        located = locate(module, job, graph, found, absorbed=absorbed, exchanged=exchanged, ends=ends)
        progress.step("applying the plan")
        return Extraction(
            plan=plan,
            state=state,
            reading=found.reading,
            fit=Fit(found.trial.inputs, located.outputs.fits, found.trial.options),
            not_given=located.outputs.missing,
            ends=compared_ends(found, located.layers),
            layers=located.layers,
            padding=reference.padding if reference.shown else {},
            unaligned=located.unaligned,
            findings=find(
                Context(
                    found,
                    reference,
                    graph.outputs,
                    located.outputs,
                    located.second,
                    kept=frozenset(left.name for left in plan.unmatched),
                    layers={} if job.model is None else layer_paths(job.model),
                    stated_ends=frozenset(fit.value for fit in job.fit.outputs.values() if fit.value),
                    guesses=choices,
                )
            ),
            evidence=evidence,
        )
