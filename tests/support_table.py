"""Writes the table of supported layers and activations into stages/README.md.

    python tests/support_table.py

Nothing in it is typed: *verified* and *identity* rows are the cases of the layer table, which the tests send through
all stages, and the torch modules are those that a case became in the imported module; *refused* rows are what the
refusal code answers when it is asked.
"""

from __future__ import annotations

import collections
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import keras
import torch
from keras_models import inputs_for
from layer_rows.case import Case
from layer_table import ACTIVATIONS, CASES, shapes, table_model
from torchgraft.stages.base import ImportedModule
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export.refusals import REFUSED, refuse_unsupported

README = Path(__file__).parents[1] / "stages" / "README.md"
BEGIN, END = "<!-- support: begin (python tests/support_table.py) -->", "<!-- support: end -->"
VERIFIED, IDENTITY, REFUSED_MARK = "verified", "identity at inference", "refused"
Imported = Callable[[tuple[int, ...], str], ImportedModule]


@dataclass(frozen=True)
class Support:
    """One row: a class or a function of Keras, what becomes of it, and how that is known."""

    name: str
    status: str
    text: str

    def line(self) -> str:
        return f"| {self.name} | {self.status} | {self.text} |"


def layer_classes() -> dict[str, type[keras.layers.Layer]]:
    """Every public layer class under its own name; Keras has aliases for some (``AvgPool2D``)."""
    found: dict[type[keras.layers.Layer], str] = {}
    for name, kind in vars(keras.layers).items():
        if inspect.isclass(kind) and issubclass(kind, keras.layers.Layer):
            found[kind] = name if name == kind.__name__ else found.get(kind, name)
    return {name: kind for kind, name in sorted(found.items(), key=lambda entry: entry[1])}


def layer_rows(imported: Imported) -> list[Support]:
    """A row a class. ``imported`` gives stage 4's result on the table's model of a (shape, dtype).

    Raises:
        LookupError: a class has no case and is not refused.
    """
    own, inside = cases_by_class()
    missing = [name for name, kind in layer_classes().items() if not (refused(kind) or own[kind] or inside[kind])]
    if missing:
        raise LookupError(f"neither in the layer table nor refused: {missing}")
    rows = []
    for name, kind in layer_classes().items():
        if refused(kind):
            rows.append(Support(name, REFUSED_MARK, refusal_message(name, kind)))
        elif own[kind]:
            rows.append(verified(name, kind, own[kind], imported))
        else:
            rows.append(Support(name, VERIFIED, _inside(kind, inside[kind])))
    return rows


def cases_by_class() -> tuple[dict[type, list[Case]], dict[type, list[Case]]]:
    """A class's own cases, and those that have it inside another layer."""
    own: dict[type, list[Case]] = collections.defaultdict(list)
    inside: dict[type, list[Case]] = collections.defaultdict(list)
    for case in CASES:
        own[case.kind].append(case)
        for kind in kinds_in(case):
            inside[kind].append(case)
    return own, inside


def verified(name: str, kind: type, cases: list[Case], imported: Imported) -> Support:
    modules = [set(modules_of(imported(case.shape, case.dtype), case.name)) for case in cases]
    if not any(modules) and all(map(gives_its_input, cases)):
        return Support(name, IDENTITY, "")
    always, ever = set.intersection(*modules), set.union(*modules)
    form = f"as {', '.join(sorted(always or ever, reverse=True))}" if ever else "as a layout, without an operation"
    if kind is keras.layers.Activation:
        form = "as its function does"
    options = options_of(kind, cases)
    return Support(name, VERIFIED, f"{form}; {options}" if options else form)


def gives_its_input(case: Case) -> bool:
    """Whether Keras gives back, at inference, what the case's layer is given."""
    given = keras.Input(case.shape)
    model = keras.Model(given, case.call(case.make(case.name), given))
    sample = keras.random.normal((2, *case.shape))
    result = model(sample, training=False)
    return result.shape == sample.shape and bool(keras.ops.all(result == sample))


def _inside(kind: type, cases: list[Case]) -> str:
    if kind is keras.layers.InputLayer:
        return "as an argument"
    if kind in BASES:
        return "a class of the user's own, by what it computes"
    return f"inside {', '.join(dict.fromkeys(case.kind.__name__ for case in cases))}"


# A user's layer derives from these, and is verified by what it computes.
BASES = (keras.layers.Layer, keras.layers.Wrapper)


def kinds_in(case: Case) -> set[type]:
    """The classes of a case's layer, of the layers inside it, and of their bases where a user wrote them."""
    layer = case.make(case.name)
    kinds = {type(part) for part in layer._flatten_layers()} | {keras.layers.InputLayer}
    return kinds | {base for kind in kinds if not kind.__module__.startswith("keras") for base in kind.__bases__}


def options_of(kind: type, cases: Iterable[Case]) -> str:
    """Each option that some case sets, with the values it is given."""
    signature = inspect.signature(kind.__init__)
    values: dict[str, dict[str, None]] = {}
    for case in cases:
        bound = signature.bind(None, *case.args, **case.options)
        given = {**bound.arguments, **bound.arguments.get("kwargs", {})}
        for option, value in given.items():
            parameter = signature.parameters.get(option)
            if parameter is not None and parameter.default is not inspect.Parameter.empty:
                values.setdefault(option, {})[shown(value)] = None
    return "; ".join(f"`{option}` {', '.join(_all_or(found))}" for option, found in sorted(values.items()))


def _all_or(values: Iterable[str]) -> list[str]:
    """One word for all activations."""
    found = list(values)
    rest = [value for value in found if value not in ACTIVATIONS and value != "a function"]
    return [*rest, "every function of keras.activations"] if len(found) - len(rest) > len(ACTIVATIONS) - 4 else found


def shown(value: object) -> str:
    if isinstance(value, keras.layers.Layer):
        return type(value).__name__
    if isinstance(value, list | tuple):
        return f"({', '.join(map(shown, value))})"
    if callable(value):
        return getattr(value, "__name__", "").replace("<lambda>", "") or "a function"
    return value if isinstance(value, str) else repr(value)


def modules_of(imported: ImportedModule, boundary: str) -> list[str]:
    """The modules that a boundary's value comes from, back to the model's input or another layer."""
    others = {node for name, node in imported.places.items() if name != boundary}
    nodes = {node.name: node for node in imported.module.graph.nodes}
    waiting, found, seen = [nodes[imported.places[boundary]]], dict[str, None](), set[str]()
    while waiting:
        node = waiting.pop()
        if node.name in seen or (node.name in others and seen):
            continue
        seen.add(node.name)
        waiting += node.all_input_nodes
        if node.op != "call_module":
            continue
        parts = imported.module.get_submodule(node.target).modules()
        found |= dict.fromkeys(module_text(part) for part in parts if not list(part.children()))
    return sorted(text for text in found if text)


def module_text(module: torch.nn.Module) -> str:
    kind = type(module)
    if kind.__module__.startswith("torch.nn"):
        return "" if kind is torch.nn.Identity else f"`nn.{kind.__name__}`"
    return "tensor operations"


def refused(kind: type) -> bool:
    return any(issubclass(kind, getattr(keras.layers, name)) for refusal in REFUSED for name in refusal.layers)


def refusal_message(name: str, kind: type) -> str:
    """What the refusal code says of a model that holds a layer of the class."""
    model = keras.Sequential([stand_in(name, kind)])
    try:
        refuse_unsupported(model)
    except UnsupportedError as error:
        return f"{error.details[0].split(': ', 1)[1]}: {error.fix}"
    raise AssertionError(f"{name} is listed as refused and is not")


def stand_in(name: str, kind: type) -> keras.layers.Layer:
    """A layer of the class without what making one needs (JAX, a SavedModel, a vocabulary)."""

    def init(self: keras.layers.Layer) -> None:
        keras.layers.Layer.__init__(self, name="refused")

    return type(name, (kind,), {"__init__": init})()


def activation_rows(imported: Imported) -> list[Support]:
    rows = []
    for name in sorted(ACTIVATIONS):
        case = next(case for case in CASES if case.name == f"activation_{name}")
        modules = modules_of(imported(case.shape, case.dtype), case.name)
        rows.append(Support(name, VERIFIED if modules else IDENTITY, f"as {', '.join(modules)}" if modules else ""))
    return rows


def document(imported: Imported) -> str:
    """The whole text between the marks."""
    layers, activations = layer_rows(imported), activation_rows(imported)
    counts = {status: sum(row.status == status for row in layers) for status in (VERIFIED, IDENTITY, REFUSED_MARK)}
    return "\n".join(
        [
            f"`keras.layers` of Keras {keras.version()}: {len(layers)} classes, "
            + ", ".join(f"{count} {status}" for status, count in counts.items())
            + ". Options are those that a case of `tests/layer_rows/` sets, beside the defaults.",
            "",
            "| keras.layers | | |",
            "|---|---|---|",
            *(row.line() for row in layers),
            "",
            "| keras.activations | | |",
            "|---|---|---|",
            *(row.line() for row in activations),
        ]
    )


def written(text: str, readme: str) -> str:
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    from first_stages import first_stages

    made = {}
    for shape, dtype in shapes():
        model = table_model(shape, dtype)
        made[shape, dtype] = first_stages(model, inputs_for(model, 2))[ImportedModule]
    text = document(lambda shape, dtype: made[shape, dtype])
    README.write_text(written(text, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
