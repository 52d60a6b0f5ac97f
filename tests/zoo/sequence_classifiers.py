"""Sequence classifiers: a bidirectional LSTM in two layers, a GRU with its own loop over cells."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_lstm_classifier() -> keras.Model:
    tokens = keras.Input((13,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 10, name="embed")(tokens)
    x = layers.Bidirectional(layers.LSTM(7, return_sequences=True), name="lstm1")(x)
    x = layers.Bidirectional(layers.LSTM(7, return_sequences=True), name="lstm2")(x)
    x = layers.GlobalMaxPooling1D(name="pool")(x)
    return keras.Model(tokens, layers.Dense(4, activation="softmax", name="classes")(x), name="lstm_classifier")


class LSTMClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 10)
        self.lstm = nn.LSTM(10, 7, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(14, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        return self.fc(states.amax(dim=1))  # logits, as nn.CrossEntropyLoss wants them


def keras_gru_classifier() -> keras.Model:
    series = keras.Input((11, 6), name="series")
    x = layers.GRU(8, return_sequences=True, name="gru1")(series)
    x = layers.GRU(5, name="gru2")(x)
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    return keras.Model(series, layers.Dense(3, name="logits")(x), name="gru_classifier")


class GRUClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.GRU(6, 8)  # (T, N, F)
        self.cell = nn.GRUCell(8, 5)
        self.head = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        steps, _ = self.first(series.transpose(0, 1))
        state = steps.new_zeros(series.shape[0], 5)
        for step in steps:
            state = self.cell(step, state)
        return self.head(state)


def probabilities(logits: torch.Tensor) -> list[torch.Tensor]:
    return [torch.softmax(logits, dim=-1)]


PAIRS = (
    Pair(
        "BiLSTM classifier → nn.LSTM of two layers",
        keras_lstm_classifier,
        LSTMClassifier,
        read=probabilities,
        findings=("softmax",),
    ),
    Pair("GRU classifier → nn.GRU and a loop over nn.GRUCell", keras_gru_classifier, GRUClassifier),
)
