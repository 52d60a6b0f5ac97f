"""What does nothing at inference, and preprocessing."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, VOLUME, Case, case


def identities() -> Iterator[Case]:
    yield case("dropout", MAP, layers.Dropout, 0.5)
    yield case("spatial_dropout1d", SERIES, layers.SpatialDropout1D, 0.5)
    yield case("spatial_dropout2d", MAP, layers.SpatialDropout2D, 0.5)
    yield case("spatial_dropout3d", VOLUME, layers.SpatialDropout3D, 0.5)
    yield case("alpha_dropout", MAP, layers.AlphaDropout, 0.5)
    yield case("gaussian_dropout", MAP, layers.GaussianDropout, 0.5)
    yield case("gaussian_noise", MAP, layers.GaussianNoise, 0.5)
    yield case("activity", MAP, layers.ActivityRegularization, 0.1)
    yield case("identity", MAP, layers.Identity)
    yield case("rescaling", MAP, layers.Rescaling, 1 / 127.5, offset=-1.0)
    yield case("rescaling_channels", MAP, layers.Rescaling, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], offset=0.5)
    yield case("normalization", MAP, layers.Normalization)
    yield case("normalization_vector", VECTOR, layers.Normalization)
    yield case("normalization_inverted", MAP, layers.Normalization, invert=True)
    yield case("normalization_given", MAP, layers.Normalization, mean=[0.1] * 6, variance=[0.5, 1, 2, 3, 4, 5])
    yield case("normalization_scalar", MAP, layers.Normalization, axis=None)
