"""Draws models: branches, shared layers, nested models, several inputs and outputs, odd sizes."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import assume
from hypothesis import strategies as st

from .description import Architecture, Draw, Shape, Step
from .pieces import PIECES
from .shaping import FLATTEN, size_of

LARGEST = 2500  # elements of a sample: a model takes a second or two
NESTED = "Model"

_channels, _side = st.integers(2, 5), st.integers(3, 11)
_inputs = st.one_of(
    st.tuples(st.tuples(_side, _side, _channels), st.just("float32")),
    st.tuples(st.tuples(_side, _channels), st.just("float32")),
    st.tuples(st.tuples(st.integers(4, 30)), st.just("float32")),
    st.tuples(st.tuples(st.integers(3, 9)), st.just("int32")),
)


class _Growing:
    """A model while it is drawn: the shape and dtype of each of its values."""

    def __init__(self, inputs: list[tuple[Shape, str]]) -> None:
        self.inputs = tuple(inputs)
        self.values = list(inputs)
        self.steps: list[Step] = []

    def add(self, step: Step, shape: Shape) -> None:
        self.steps.append(step)
        self.values.append((shape, "float32"))

    def unused(self) -> list[int]:
        used = {place for step in self.steps for place in step.sources}
        return [place for place in range(len(self.values)) if place not in used]


@st.composite
def architectures(draw: Draw, largest: int = 9) -> Architecture:
    """A model of about ``largest`` layer calls at most; its outputs are what no layer takes, and perhaps one more."""
    model = _Growing(draw(st.lists(_inputs, min_size=1, max_size=2)))
    for _ in range(draw(st.integers(1, largest))):
        _grow(draw, model)
    for place in range(len(model.inputs)):
        if place in model.unused():  # an input is no output: something takes it
            _grow(draw, model, place)
    ends = model.unused()
    assume(ends and ends[0] >= len(model.inputs))
    inner = [place for place in range(len(model.inputs), len(model.values)) if place not in ends]
    more = draw(st.lists(st.sampled_from(inner), max_size=1)) if inner else []
    return Architecture(model.inputs, tuple(model.steps), (*ends, *more))


def _grow(draw: Draw, model: _Growing, first: int | None = None) -> None:
    """One more step, on ``first`` or any value, mostly one that nothing takes yet.

    Ids are taken once: nothing but Embeddings takes them, and many on one input are hardly to be told apart (the test
    of equal layers).
    """
    if first is None:
        loose = model.unused()
        free = [place for place in range(len(model.values)) if place in loose or model.values[place][1] == "float32"]
        first = draw(st.sampled_from(loose if loose and draw(st.integers(0, 3)) else free))
    shared = draw(st.sampled_from([None, None, *_callable_again(model, first)]))
    if shared is not None:
        step = model.steps[shared]
        original = step.shared if step.shared is not None else shared
        shape = model.values[len(model.inputs) + shared][0]
        model.add(Step(step.piece, step.options, (first,), original), shape)
    elif draw(st.integers(0, 5)) == 0 and model.values[first][1] == "float32":
        _nest(draw, model, first)
    else:
        _layer(draw, model, first)


def _callable_again(model: _Growing, place: int) -> Iterator[int]:
    """The steps whose layer takes the value at ``place``, too."""
    for number, step in enumerate(model.steps):
        sources = [model.values[source] for source in step.sources]
        if sources == [model.values[place]] and step.sources != (place,):
            yield number


def _layer(draw: Draw, model: _Growing, first: int) -> None:
    shape, dtype = model.values[first]
    names = [name for name, piece in PIECES.items() if len(shape) in piece.ranks and piece.dtype == dtype]
    for name in draw(st.permutations(names))[:6]:
        piece = PIECES[name]
        sources = (first,)
        if piece.sources == 2:
            others = [
                place for place, value in enumerate(model.values) if len(value[0]) == len(shape) and value[1] == dtype
            ]
            sources = (first, draw(st.sampled_from(others)))
        shapes = [model.values[place][0] for place in sources]
        options = piece.options(draw, shapes)
        if options is None:
            continue
        result = piece.result(options, shapes)
        if 0 < size_of(result) <= LARGEST:
            model.add(Step(name, options, sources), result)
            return


def _alike(model: _Growing, first: int) -> Iterator[int]:
    """The places of values of the same rank and dtype."""
    shape, dtype = model.values[first]
    for place, value in enumerate(model.values):
        if len(value[0]) == len(shape) and value[1] == dtype:
            yield place


def _nest(draw: Draw, model: _Growing, first: int) -> None:
    """A model of its own inside: a chain of layers."""
    inner = _Growing([model.values[first]])
    if len(inner.values[0][0]) > 1 and draw(st.booleans()):
        _flatten_into_dense(draw, inner)
    for _ in range(draw(st.integers(0 if inner.steps else 1, 2))):
        _layer(draw, inner, len(inner.values) - 1)
    chain = [step for number, step in enumerate(inner.steps) if step.sources == (number,)]
    if len(chain) == len(inner.steps) and chain:
        model.add(Step(NESTED, {"steps": tuple(chain)}, (first,)), inner.values[-1][0])


def _flatten_into_dense(draw: Draw, inner: _Growing) -> None:
    shape = (size_of(inner.values[0][0]),)
    inner.add(Step(FLATTEN, {}, (0,)), shape)
    dense = PIECES["Dense"]
    options = dense.options(draw, [shape])
    inner.add(Step(dense.name, options, (1,)), dense.result(options, [shape]))
