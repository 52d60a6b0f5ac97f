"""The options of Keras' recurrent layers onto users' modules: masks, states, directions, cells, activations, biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers, ops
from keras_models import randomised
from torch import nn
from torch.nn.functional import hardsigmoid, softsign
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

STEPS, FEATURES, UNITS, WORDS = 5, 3, 4, 9
LENGTHS = (5, 2, 4, 1, 3, 5)


def series() -> keras.KerasTensor:
    return keras.Input((STEPS, FEATURES), name="series")


def given(model: keras.Model, seed: int) -> dict[str, np.ndarray]:
    """Series that end in zeros, and ids that end in 0, after ``LENGTHS`` steps."""
    random = np.random.default_rng(seed)
    made = {}
    for tensor in model.inputs:
        shape = (len(LENGTHS), *tensor.shape[1:])
        ids = "int" in tensor.dtype
        array = random.integers(1, WORDS, shape) if ids else random.normal(size=shape)
        if tensor.name in ("series", "words"):
            for row, length in zip(array, LENGTHS, strict=True):
                row[length:] = 0
        made[tensor.name] = array.astype(tensor.dtype)
    return made


def graft(model: keras.Model, module: nn.Module) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=given(model, 3))


def difference(model: keras.Model, module: nn.Module, layout: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Of all outputs on fresh inputs, relative to the largest value of each."""
    fresh = given(model, 9)
    theirs = keras.tree.flatten(model(list(fresh.values()) if len(fresh) > 1 else fresh.popitem()[1], training=False))
    arrays = [torch.from_numpy(array) for array in given(model, 9).values()]
    with torch.no_grad():
        ours = module.eval()(*(layout(array) for array in arrays))
    ours = ours if isinstance(ours, tuple) else (ours,)
    assert len(ours) == len(theirs)
    pairs = zip((one.numpy() for one in ours), (np.asarray(one) for one in theirs), strict=True)
    return max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs)


def assert_grafted(
    model: keras.Model,
    module: nn.Module,
    layout: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
) -> torchgraft.Conversion:
    """Verified without a finding, loadable strictly, equal on fresh inputs; each weight upside down shows."""
    conversion = graft(model, module)
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert not conversion.findings
    module.load_state_dict(conversion.state_dict, strict=True)
    assert difference(model, module, layout) <= 1e-4  # the default rtol
    for key, tensor in conversion.state_dict.items():
        if tensor.dim() > 1:
            module.load_state_dict({**conversion.state_dict, key: tensor.flip(0)}, strict=True)
            assert difference(model, module, layout) > 1e-3, f"{key} upside down makes no difference"
    return conversion


def onto(x: keras.KerasTensor, result: object, name: str = "net") -> keras.Model:
    return randomised(keras.Model(x, result, name=name))


class WhereMasked(nn.Module):
    """A cell in a loop that keeps the state where a step is all zeros; ``each``: every step's output."""

    def __init__(self, cell: nn.RNNCellBase, *, each: bool = False) -> None:
        super().__init__()
        self.cell, self.head, self.each = cell, nn.Linear(UNITS, 2), each

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        shown = (series != 0).any(-1, keepdim=True)
        h = c = series.new_zeros(len(series), UNITS)
        outputs = []
        for t in range(series.shape[1]):
            is_lstm = isinstance(self.cell, nn.LSTMCell)
            new_h, new_c = self.cell(series[:, t], (h, c)) if is_lstm else (self.cell(series[:, t], h), c)
            h, c = torch.where(shown[:, t], new_h, h), torch.where(shown[:, t], new_c, c)
            outputs.append(h)
        return self.head(torch.stack(outputs, 1) if self.each else h)


class Packed(nn.Module):
    """A packed sequence of words, as nn.LSTM and nn.GRU take what has padding."""

    def __init__(self, rnn: nn.RNNBase, *, sequences: bool = False) -> None:
        super().__init__()
        self.table, self.rnn, self.sequences = nn.Embedding(WORDS, FEATURES, padding_idx=0), rnn, sequences
        self.head = nn.Linear(UNITS * (2 if rnn.bidirectional else 1), 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        lengths = (words != 0).sum(1)
        packed = pack_padded_sequence(self.table(words), lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, final = self.rnn(packed)
        if self.sequences:
            return self.head(pad_packed_sequence(outputs, batch_first=True)[0])
        h = final[0] if isinstance(final, tuple) else final
        return self.head(torch.cat(h.unbind(0), -1))


def masking(kind: type[layers.Layer], **options: object) -> keras.Model:
    x = series()
    return onto(x, layers.Dense(2)(kind(UNITS, **options)(layers.Masking()(x))))


def embedded(layer: layers.Layer) -> keras.Model:
    words = keras.Input((STEPS,), dtype="int32", name="words")
    return onto(words, layers.Dense(2)(layer(layers.Embedding(WORDS, FEATURES, mask_zero=True)(words))))


MASKED = {
    "LSTM, torch.where": (lambda: masking(layers.LSTM), lambda: WhereMasked(nn.LSTMCell(FEATURES, UNITS))),
    "GRU, torch.where": (lambda: masking(layers.GRU), lambda: WhereMasked(nn.GRUCell(FEATURES, UNITS))),
    "SimpleRNN, torch.where": (lambda: masking(layers.SimpleRNN), lambda: WhereMasked(nn.RNNCell(FEATURES, UNITS))),
    "LSTM sequences, torch.where": (
        lambda: masking(layers.LSTM, return_sequences=True),
        lambda: WhereMasked(nn.LSTMCell(FEATURES, UNITS), each=True),
    ),
    "LSTM, packed": (lambda: embedded(layers.LSTM(UNITS)), lambda: Packed(nn.LSTM(FEATURES, UNITS, batch_first=True))),
    "GRU, packed": (lambda: embedded(layers.GRU(UNITS)), lambda: Packed(nn.GRU(FEATURES, UNITS, batch_first=True))),
    "both directions, packed": (
        lambda: embedded(layers.Bidirectional(layers.LSTM(UNITS))),
        lambda: Packed(nn.LSTM(FEATURES, UNITS, batch_first=True, bidirectional=True)),
    ),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_stands_in_the_module_as_it_is_written_there(name: str) -> None:
    make, write = MASKED[name]
    assert_grafted(make(), write())


@pytest.mark.parametrize("sequences", [False, True])
def test_no_packed_sample_need_be_as_long_as_the_padded_sequence(sequences: bool, monkeypatch) -> None:
    monkeypatch.setitem(globals(), "LENGTHS", (3, 2, 4, 1, 3, 2))  # of 5 steps
    rnn = nn.LSTM(FEATURES, UNITS, batch_first=True)
    if not sequences:
        assert_grafted(embedded(layers.LSTM(UNITS)), Packed(rnn))
        return
    # torch gives 4 steps, Keras 5
    assert not graft(embedded(layers.LSTM(UNITS, return_sequences=True)), Packed(rnn, sequences=True)).verified


def test_a_module_that_reads_its_padding_is_not_verified() -> None:
    """The negative twin: nn.LSTM over the padded sequence, as if there were no mask."""

    class Unmasked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(FEATURES, UNITS, batch_first=True), nn.Linear(UNITS, 2)

        def forward(self, series: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(series)[0][:, -1])

    assert not graft(masking(layers.LSTM), Unmasked()).verified
    assert not torchgraft.convert(masking(layers.LSTM), Unmasked()).verified  # inputs that are generated end early, too


class Torchs(nn.Module):
    """A layer of torch's between what ``before`` makes of the input and what ``after`` makes of (outputs, states)."""

    def __init__(
        self,
        rnn: nn.RNNBase,
        after: Callable[[torch.Tensor, Sequence[torch.Tensor]], torch.Tensor | tuple[torch.Tensor, ...]],
        before: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
    ) -> None:
        super().__init__()
        self.rnn, self.before, self.after = rnn, before, after

    def forward(self, series: torch.Tensor, *states: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        given = [state.unsqueeze(0) for state in states]
        hx = None if not given else given[0] if len(given) == 1 else tuple(given)
        y, final = self.rnn(self.before(series), hx)
        return self.after(y, final if isinstance(final, tuple) else (final,))


def torchs(kind: type[nn.RNNBase], after: Callable, before: Callable = lambda x: x, **options: object) -> Torchs:
    return Torchs(kind(FEATURES, UNITS, batch_first=True, **options), after, before)


def with_states(y: torch.Tensor, states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return (y, *(state[0] for state in states))


def last(y: torch.Tensor, _: Sequence[torch.Tensor]) -> torch.Tensor:
    return y[:, -1]


def every(y: torch.Tensor, _: Sequence[torch.Tensor]) -> torch.Tensor:
    return y


def on_series(layer: layers.Layer, *states: keras.KerasTensor) -> keras.Model:
    x = series()
    return onto([x, *states], layer(x, initial_state=list(states)) if states else layer(x))


def state(name: str) -> keras.KerasTensor:
    return keras.Input((UNITS,), name=name)


def merged(mode: str | None, kind: type[layers.Layer] = layers.LSTM, **options: object) -> keras.Model:
    return on_series(layers.Bidirectional(kind(UNITS, return_sequences=True, **options), merge_mode=mode))


def stateful() -> keras.Model:
    x = keras.Input(batch_shape=(len(LENGTHS), STEPS, FEATURES), name="series")
    return onto(x, layers.LSTM(UNITS, stateful=True)(x))


def halves(combine: Callable[[torch.Tensor, torch.Tensor], object]) -> Torchs:
    return torchs(nn.LSTM, lambda y, _: combine(*y.chunk(2, -1)), bidirectional=True)


TORCHS = {
    "return_state of nn.LSTM": (
        lambda: on_series(layers.LSTM(UNITS, return_sequences=True, return_state=True)),
        lambda: torchs(nn.LSTM, with_states),
    ),
    "return_state of nn.GRU": (
        lambda: on_series(layers.GRU(UNITS, return_sequences=True, return_state=True)),
        lambda: torchs(nn.GRU, with_states),
    ),
    "return_state of nn.RNN": (
        lambda: on_series(layers.SimpleRNN(UNITS, return_sequences=True, return_state=True)),
        lambda: torchs(nn.RNN, with_states),
    ),
    "initial_state of nn.LSTM": (
        lambda: on_series(layers.LSTM(UNITS), state("h"), state("c")),
        lambda: torchs(nn.LSTM, last),
    ),
    "initial_state of nn.GRU": (lambda: on_series(layers.GRU(UNITS), state("h")), lambda: torchs(nn.GRU, last)),
    "go_backwards": (
        lambda: on_series(layers.LSTM(UNITS, go_backwards=True)),
        lambda: torchs(nn.LSTM, last, lambda x: x.flip(1)),
    ),
    "go_backwards, every step": (
        lambda: on_series(layers.GRU(UNITS, go_backwards=True, return_sequences=True)),
        lambda: torchs(nn.GRU, every, lambda x: x.flip(1)),
    ),
    "stateful": (stateful, lambda: torchs(nn.LSTM, last)),
    "biases off": (lambda: on_series(layers.LSTM(UNITS, use_bias=False)), lambda: torchs(nn.LSTM, last, bias=False)),
    "biases off, onto biases": (lambda: on_series(layers.LSTM(UNITS, use_bias=False)), lambda: torchs(nn.LSTM, last)),
    "biases off in nn.GRU": (
        lambda: on_series(layers.GRU(UNITS, use_bias=False)),
        lambda: torchs(nn.GRU, last, bias=False),
    ),
    "unrolled": (lambda: on_series(layers.GRU(UNITS, unroll=True)), lambda: torchs(nn.GRU, last)),
    "dropout": (
        lambda: on_series(layers.LSTM(UNITS, dropout=0.3, recurrent_dropout=0.2)),
        lambda: torchs(nn.LSTM, last),
    ),
    "RNN around a cell": (lambda: on_series(layers.RNN(layers.LSTMCell(UNITS))), lambda: torchs(nn.LSTM, last)),
    "StackedRNNCells in one nn.LSTM": (
        lambda: on_series(layers.RNN([layers.LSTMCell(UNITS), layers.LSTMCell(UNITS)], return_sequences=True)),
        lambda: torchs(nn.LSTM, every, num_layers=2),
    ),
    "StackedRNNCells in one nn.GRU": (
        lambda: on_series(layers.RNN(layers.StackedRNNCells([layers.GRUCell(UNITS), layers.GRUCell(UNITS)]))),
        lambda: torchs(nn.GRU, last, num_layers=2),
    ),
    "merge_mode concat": (lambda: merged("concat"), lambda: torchs(nn.LSTM, every, bidirectional=True)),
    "merge_mode sum": (lambda: merged("sum"), lambda: halves(lambda a, b: a + b)),
    "merge_mode mul": (lambda: merged("mul"), lambda: halves(lambda a, b: a * b)),
    "merge_mode ave": (lambda: merged("ave"), lambda: halves(lambda a, b: (a + b) / 2)),
    "merge_mode None": (lambda: merged(None), lambda: halves(lambda a, b: (a, b))),
    "the last of both directions": (
        lambda: on_series(layers.Bidirectional(layers.LSTM(UNITS))),
        lambda: torchs(nn.LSTM, lambda _, states: torch.cat([*states[0]], -1), bidirectional=True),
    ),
    "return_state of both directions": (
        lambda: on_series(layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, return_state=True))),
        lambda: torchs(
            nn.LSTM,
            lambda y, states: (y, states[0][0], states[1][0], states[0][1], states[1][1]),
            bidirectional=True,
        ),
    ),
    "two layers, each with its own states": (
        lambda: on_series(layers.Bidirectional(layers.GRU(UNITS), backward_layer=layers.GRU(UNITS, go_backwards=True))),
        lambda: torchs(nn.GRU, lambda _, states: torch.cat([*states[0]], -1), bidirectional=True),
    ),
}


#: What differs from another pair in the kind of the layer alone runs with the long ones.
ALIKE = (
    *("return_state of nn.GRU", "return_state of nn.RNN", "initial_state of nn.GRU", "go_backwards, every step"),
    *("biases off in nn.GRU", "unrolled", "dropout", "RNN around a cell", "merge_mode mul", "merge_mode ave"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in ALIKE else ()) for name in TORCHS]
)
def test_an_option_onto_torchs_own_layer(name: str) -> None:
    make, write = TORCHS[name]
    assert_grafted(make(), write())


class Gated(nn.Module):
    """An LSTM cell out of linear layers, with the activations of one's choice."""

    def __init__(self, gate: Callable, act: Callable) -> None:
        super().__init__()
        self.of_input, self.of_state = nn.Linear(FEATURES, 4 * UNITS), nn.Linear(UNITS, 4 * UNITS, bias=False)
        self.gate, self.act = gate, act

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        h = c = series.new_zeros(len(series), UNITS)
        for x in series.unbind(1):
            i, f, g, o = (self.of_input(x) + self.of_state(h)).chunk(4, -1)
            c = self.gate(f) * c + self.gate(i) * self.act(g)
            h = self.gate(o) * self.act(c)
        return h


class TorchCells(nn.Module):
    """Cells of torch's, one over the other, in a loop."""

    def __init__(self, *cells: nn.RNNCellBase) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        states: list = [None] * len(self.cells)
        value = series[:, 0]
        for x in series.unbind(1):
            value = x
            for place, cell in enumerate(self.cells):
                states[place] = cell(value, states[place])
                value = states[place][0] if isinstance(states[place], tuple) else states[place]
        return value


@keras.saving.register_keras_serializable("test_recurrent_options")
def bent(x):
    """An activation of one's own."""
    return ops.tanh(x) + 0.1 * x


class Damped(layers.Layer):
    """A cell of one's own: what it has seen fades by a factor that it has learned."""

    def __init__(self, units: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.state_size = self.output_size = units
        self.project = layers.Dense(units, name="project")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.fading = self.add_weight(shape=(self.state_size,), name="fading")
        self.project.build(shape)

    def call(self, x, states):
        seen = ops.tanh(self.project(x)) + ops.sigmoid(self.fading) * states[0]
        return seen, [seen]


class Fading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.fading = nn.Linear(FEATURES, UNITS), nn.Parameter(torch.zeros(UNITS))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        seen = series.new_zeros(len(series), UNITS)
        for x in series.unbind(1):
            seen = torch.tanh(self.project(x)) + torch.sigmoid(self.fading) * seen
        return seen


def tanh_and_more(x: torch.Tensor) -> torch.Tensor:
    return x.tanh() + 0.1 * x


BY_HAND = {
    "hard_sigmoid": (
        lambda: on_series(layers.LSTM(UNITS, recurrent_activation="hard_sigmoid")),
        lambda: Gated(hardsigmoid, torch.tanh),
    ),
    "hard_sigmoid and softsign": (
        lambda: on_series(layers.LSTM(UNITS, activation="softsign", recurrent_activation="hard_sigmoid")),
        lambda: Gated(hardsigmoid, softsign),
    ),
    "relu": (lambda: on_series(layers.LSTM(UNITS, activation="relu")), lambda: Gated(torch.sigmoid, torch.relu)),
    "an activation of one's own": (
        lambda: on_series(layers.LSTM(UNITS, activation=bent)),
        lambda: Gated(torch.sigmoid, tanh_and_more),
    ),
    "a cell of one's own": (lambda: on_series(layers.RNN(Damped(UNITS))), Fading),
    "StackedRNNCells in a loop": (
        lambda: on_series(layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(5), layers.SimpleRNNCell(3)])),
        lambda: TorchCells(nn.LSTMCell(FEATURES, UNITS), nn.GRUCell(UNITS, 5), nn.RNNCell(5, 3)),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_option_onto_a_loop_written_by_hand(name: str) -> None:
    make, write = BY_HAND[name]
    assert_grafted(make(), write())


@pytest.mark.parametrize(
    ("kind", "options", "write", "cause", "fix"),
    [
        (layers.LSTM, {"activation": "relu"}, nn.LSTM, "activation='relu'", "write the cell in forward"),
        (
            layers.GRU,
            {"recurrent_activation": "hard_sigmoid"},
            nn.GRU,
            "recurrent_activation='hard_sigmoid'",
            "write the cell in forward",
        ),
        (layers.SimpleRNN, {"activation": "relu"}, nn.RNN, "activation='relu'", "pass nonlinearity='relu'"),
    ],
)
def test_an_activation_that_torchs_layer_has_not_is_a_finding(
    kind: type[layers.Layer], options: dict[str, str], write: type[nn.RNNBase], cause: str, fix: str
) -> None:
    conversion = graft(on_series(kind(UNITS, name="rnn", **options)), torchs(write, last))
    assert not conversion.verified
    first = conversion.findings[0]
    assert (first.severity, first.place, first.layer) == ("error", "rnn", "rnn")
    assert cause in first.cause
    assert first.fix.startswith(fix)
    told = [finding.cause for finding in graft(on_series(kind(UNITS, name="rnn")), torchs(write, last)).findings]
    assert not any("activation" in cause for cause in told)
