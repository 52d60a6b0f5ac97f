"""Builds both sides of a drawn model: in Keras, and as one writes it in PyTorch."""

from __future__ import annotations

import keras
import torch
from keras_models import randomised
from torch import nn

from .description import Architecture, Shape, Step
from .pieces import PIECES
from .strategy import NESTED


def keras_model(drawn: Architecture, seed: int = 0) -> keras.Model:
    """The functional model, its weights random."""
    values = [
        keras.Input(shape, name=f"input{place}", dtype=dtype) for place, (shape, dtype) in enumerate(drawn.inputs)
    ]
    given = list(values)
    layers: list[keras.layers.Layer] = []
    for number, step in enumerate(drawn.steps):
        layer = layers[step.shared] if step.shared is not None else _layer(step, number, values)
        layers.append(layer)
        sources = [values[place] for place in step.sources]
        values.append(layer(sources if len(sources) > 1 else sources[0]))
    return randomised(keras.Model(given, [values[place] for place in drawn.outputs], name="drawn"), seed)


def _layer(step: Step, number: int, values: list) -> keras.layers.Layer:
    if step.piece != NESTED:
        return PIECES[step.piece].layer(**step.options, name=_name(step, str(number)))
    start = values[step.sources[0]]
    x = given = keras.Input(start.shape[1:], dtype=start.dtype)
    for inner, part in enumerate(step.options["steps"]):
        x = PIECES[part.piece].layer(**part.options, name=_name(part, f"{number}_{inner}"))(x)
    return keras.Model(given, x, name=f"model{number}")


def _name(step: Step, number: str) -> str:
    return f"{step.piece.lower().rpartition('.')[2]}{number}"


class Twin(nn.Module):
    """The drawn model on channels-first tensors, its outputs in order."""

    def __init__(self, drawn: Architecture) -> None:
        super().__init__()
        self.drawn = drawn
        shapes = [shape for shape, _ in drawn.inputs]
        self.parts = nn.ModuleList()
        for step in drawn.steps:
            given = [shapes[place] for place in step.sources]
            module, shape = twin_of(step, given)
            self.parts.append(nn.Identity() if step.shared is not None else module)
            shapes.append(shape)

    def forward(self, *values: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        known = list(values)
        for number, step in enumerate(self.drawn.steps):
            part = self.parts[number if step.shared is None else step.shared]
            known.append(part(*(known[place] for place in step.sources)))
        outputs = tuple(known[place] for place in self.drawn.outputs)
        return outputs if len(outputs) > 1 else outputs[0]


def twin_of(step: Step, shapes: list[Shape]) -> tuple[nn.Module, Shape]:
    """(the module of a step, the sample shape that it gives in Keras layout)."""
    if step.piece != NESTED:
        piece = PIECES[step.piece]
        return piece.twin(step.options, shapes), piece.result(step.options, shapes)
    modules = []
    for part in step.options["steps"]:
        module, shape = twin_of(part, shapes)
        modules.append(module)
        shapes = [shape]
    return nn.Sequential(*modules), shapes[0]
