"""Padding that Keras hides: a module may compute anything there that nothing else reads."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers
from keras_models import randomised
from torch import nn

STEPS, WORDS, WIDTH, UNITS = 6, 11, 8, 4
LENGTHS = (2, 6, 3, 5, 1)


def words(seed: int) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(1, WORDS, (len(LENGTHS), STEPS))
    return np.where(np.arange(STEPS) < np.array(LENGTHS)[:, None], ids, 0).astype("int32")


def recurrent() -> keras.Model:
    ids = keras.Input((STEPS,), dtype="int32", name="ids")
    x = layers.Embedding(WORDS, WIDTH, mask_zero=True)(ids)
    return randomised(keras.Model(ids, layers.Dense(2)(layers.LSTM(UNITS, name="lstm")(x))))


def attentive() -> keras.Model:
    ids = keras.Input((STEPS,), dtype="int32", name="ids")
    x = layers.Embedding(WORDS, WIDTH, mask_zero=True)(ids)
    x = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return randomised(keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))))


class LastOf(nn.Module):
    """The LSTM goes on over the padding; the step taken is the last before it, or the last of all."""

    def __init__(self, *, before: bool = True) -> None:
        super().__init__()
        self.table, self.rnn = nn.Embedding(WORDS, WIDTH), nn.LSTM(WIDTH, UNITS, batch_first=True)
        self.head, self.before = nn.Linear(UNITS, 2), before

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(self.table(ids))
        last = (ids != 0).sum(1) - 1 if self.before else -torch.ones(len(ids), dtype=torch.int64)
        return self.head(y[torch.arange(len(ids)), last])


class Attentive(nn.Module):
    """``key_padding_mask`` hides keys alone: what queries at padded steps find, the mean leaves out."""

    def __init__(self, *, keys: bool = True, mean: bool = True) -> None:
        super().__init__()
        self.table, self.attention = nn.Embedding(WORDS, WIDTH), nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2)
        self.keys, self.mean = keys, mean

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, padded = self.table(ids), ids == 0
        y, _ = self.attention(x, x, x, key_padding_mask=padded if self.keys else None)
        x = self.norm(x + y)
        if not self.mean:
            return self.head(x.mean(1))
        return self.head(x.masked_fill(padded.unsqueeze(-1), 0.0).sum(1) / (~padded).sum(1, keepdim=True))


@pytest.mark.parametrize(("make", "write"), [(recurrent, LastOf), (attentive, Attentive)])
@pytest.mark.parametrize("given", [True, False], ids=["given", "generated"])
def test_what_nothing_reads_may_differ_and_is_told(make, write, given: bool) -> None:
    model, module = make(), write()
    conversion = torchgraft.convert(model, module, inputs=words(0) if given else None)
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    (told,) = conversion.findings
    assert (told.severity, told.place) == ("warning", "input ids")
    module.load_state_dict(conversion.state_dict, strict=True)
    fresh = words(1)
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(fresh)).numpy()
    theirs = np.asarray(model(fresh, training=False))
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()  # the default rtol


@pytest.mark.parametrize(
    ("make", "module"),
    [
        (recurrent, LastOf(before=False)),
        (attentive, Attentive(keys=False)),
        (attentive, Attentive(mean=False)),
    ],
    ids=["last of all", "keys", "mean"],
)
def test_padding_that_is_let_in_is_not_verified_and_said_to_be_why(make, module: nn.Module) -> None:
    conversion = torchgraft.convert(make(), module, inputs=words(0))
    assert not conversion.verified
    assert any("where ids is 0 Keras hides the step" in finding.cause for finding in conversion.findings)


def test_another_fault_is_told_beside_it() -> None:
    module = Attentive()
    module.norm = nn.LayerNorm(WIDTH, eps=1e-1)
    conversion = torchgraft.convert(attentive(), module, inputs=words(0))
    assert not conversion.verified
    assert any("norm.eps is 0.1, Keras has 1e-05" in str(finding) for finding in conversion.findings)


def test_samples_without_padding_leave_the_mask_open_and_that_is_told() -> None:
    full = np.maximum(words(0), 1)
    conversion = torchgraft.convert(recurrent(), LastOf(before=False), inputs=full)
    assert ["no sample holds one" in finding.cause for finding in conversion.findings] == [True]
    assert not torchgraft.convert(recurrent(), LastOf(before=False)).verified  # generated ones end early
