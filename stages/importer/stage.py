"""Stage 4: the normalised graph as an ``fx.GraphModule``, by onnx2torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..base import Artifacts, ExportedGraph, ImportedModule, Job, NormalizedGraph, Progress
from ..plan import Array
from ..torch_graph import in_own_memory
from .bodies import bodies_of, put_in
from .convert import converted, fx_nodes, give_outputs
from .initializers import name_initializers
from .parameters import layer_recipes


class Import:
    """Converts node by node; each parameter keeps the Recipe of the weight that it holds.

    Beside a module of the user's the imported one is looked at only, and shares the memory of the Keras variables.
    """

    name: ClassVar[str] = "import"
    needs: ClassVar[tuple[type, ...]] = (Job, NormalizedGraph, ExportedGraph)
    gives: ClassVar[type] = ImportedModule

    def run(self, artifacts: Artifacts, progress: Progress) -> ImportedModule:
        graph, variables = artifacts[NormalizedGraph], artifacts[ExportedGraph].variables
        progress.step(f"importing {len(graph.model.graph)} nodes into PyTorch")
        return imported(graph, variables, shared=artifacts[Job].module is not None)


def imported(graph: NormalizedGraph, variables: Mapping[str, Array], *, shared: bool = False) -> ImportedModule:
    """The graph as a module in eval mode, its weights made by their recipes from ``variables``.

    ``shared``: its parameters lie in the memory of ``variables`` where they can, and are not to be written to.
    """
    around, bodies = bodies_of(graph)
    steps = {name: imported(body, variables, shared=shared) for name, body in bodies.items()}
    source, module = converted(around, variables)
    if not shared:
        in_own_memory(module)
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
