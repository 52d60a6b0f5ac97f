"""Stage 4: the normalised graph as an ``fx.GraphModule``, by onnx2torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..base import Artifacts, ExportedGraph, ImportedModule, NormalizedGraph, Progress
from ..plan import Array
from .bodies import bodies_of, put_in
from .convert import converted, fx_nodes, give_outputs
from .initializers import name_initializers
from .parameters import layer_recipes


class Import:
    """Converts node by node; each parameter keeps the Recipe of the weight that it holds."""

    name: ClassVar[str] = "import"
    needs: ClassVar[tuple[type, ...]] = (NormalizedGraph, ExportedGraph)
    gives: ClassVar[type] = ImportedModule

    def run(self, artifacts: Artifacts, progress: Progress) -> ImportedModule:
        graph, variables = artifacts[NormalizedGraph], artifacts[ExportedGraph].variables
        progress.step(f"importing {len(graph.model.graph)} nodes into PyTorch")
        return imported(graph, variables)


def imported(graph: NormalizedGraph, variables: Mapping[str, Array]) -> ImportedModule:
    """The graph as a module in eval mode, its weights made by their recipes from ``variables``."""
    around, bodies = bodies_of(graph)
    steps = {name: imported(body, variables) for name, body in bodies.items()}
    source, module = converted(around, variables)
    nodes = fx_nodes(module, source)
    give_outputs(module, len(graph.outputs))
    recipes = {
        **layer_recipes(module, source, graph.weights, variables),
        **name_initializers(module, graph.weights),
        **put_in(module, source, steps),
    }
    module.graph.lint()  # type: ignore[no-untyped-call]
    module.recompile()
    module.eval()
    places = {boundary.name: nodes[boundary.value].name for boundary in graph.boundaries}
    return ImportedModule(module, recipes, places)
