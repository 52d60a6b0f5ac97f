"""The Stage protocol and the artifacts that pass between stages.

A stage reads artifacts and gives one. It never imports another stage: what it needs is in here. The runner
checks that what a stage ``needs`` is there, runs it, and checks what it gave with the artifact's own ``check``.
"""

from .alignment import AlignedLayer, Extraction, Finding, Lost, Placement
from .graphs import Boundary, ExportedGraph, Graph, ImportedModule, NormalizedGraph, Port, Rewrite
from .job import Job, Tolerance
from .runs import Agreement, Comparison, Run, Verification
from .stage import Artifact, Artifacts, Progress, Silent, Stage, run_stage

__all__ = [
    "Agreement",
    "AlignedLayer",
    "Artifact",
    "Artifacts",
    "Boundary",
    "Comparison",
    "ExportedGraph",
    "Extraction",
    "Finding",
    "Graph",
    "ImportedModule",
    "Job",
    "Lost",
    "NormalizedGraph",
    "Placement",
    "Port",
    "Progress",
    "Rewrite",
    "Run",
    "Silent",
    "Stage",
    "Tolerance",
    "Verification",
    "run_stage",
]
