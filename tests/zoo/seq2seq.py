"""Encoder and decoder with attention: states handed over, the source embedding shared with nobody, teacher forcing."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_seq2seq() -> keras.Model:
    source = keras.Input((9,), dtype="int32", name="source")
    target = keras.Input((7,), dtype="int32", name="target")
    memory, h, c = layers.LSTM(12, return_sequences=True, return_state=True, name="encoder")(
        layers.Embedding(40, 8, name="source_embedding")(source)
    )
    states = layers.LSTM(12, return_sequences=True, name="decoder")(
        layers.Embedding(30, 6, name="target_embedding")(target), initial_state=[h, c]
    )
    context = layers.Attention(use_scale=False, name="attention")([states, memory])
    x = layers.Concatenate(name="joined")([states, context])
    x = layers.Dense(10, activation="tanh", name="combine")(x)
    return keras.Model([source, target], layers.Dense(30, name="logits")(x), name="seq2seq")


class Seq2Seq(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.src_emb, self.tgt_emb = nn.Embedding(40, 8), nn.Embedding(30, 6)
        self.encoder = nn.LSTM(8, 12, batch_first=True)
        self.decoder = nn.LSTM(6, 12, batch_first=True)
        self.combine = nn.Linear(24, 10)
        self.out = nn.Linear(10, 30)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        memory, state = self.encoder(self.src_emb(source))
        states, _ = self.decoder(self.tgt_emb(target), state)
        weights = torch.softmax(states @ memory.transpose(1, 2), dim=-1)
        return self.out(torch.tanh(self.combine(torch.cat([weights @ memory, states], dim=-1))))


PAIRS = (Pair("seq2seq with attention → by hand", keras_seq2seq, Seq2Seq),)
