"""Resizing by every interpolation, CenterCrop, adaptive pooling, spectrograms, SpectralNormalization."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, VOLUME, Case, case

SIGNAL, ONE_SIGNAL = (64, 2), (400,)
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")


def resizing() -> Iterator[Case]:
    for interpolation in INTERPOLATIONS:
        for height, width in ((18, 22), (5, 6), (13, 7)):
            name = f"resize_{interpolation}_{height}_{width}"
            yield case(name, MAP, layers.Resizing, height, width, interpolation=interpolation)
    yield case("resize_antialias", MAP, layers.Resizing, 5, 6, antialias=True)
    yield case("resize_crop", MAP, layers.Resizing, 5, 6, crop_to_aspect_ratio=True)
    yield case("up2d_bicubic", MAP, layers.UpSampling2D, (2, 3), interpolation="bicubic")
    yield case("up2d_lanczos", MAP, layers.UpSampling2D, (2, 3), interpolation="lanczos3")
    yield case("center_crop", MAP, layers.CenterCrop, 5, 7)
    yield case("center_crop_odd", MAP, layers.CenterCrop, 4, 6)
    yield case("center_crop_larger", MAP, layers.CenterCrop, 12, 14)


def adaptive_pooling() -> Iterator[Case]:
    for number, shape in ((1, SERIES), (2, MAP), (3, VOLUME)):
        for mode in ("Average", "Max"):
            yield case(
                f"adaptive_{mode}_{number}d".lower(), shape, getattr(layers, f"Adaptive{mode}Pooling{number}D"), 3
            )
    yield case("adaptive_average_2d_two_sizes", MAP, layers.AdaptiveAveragePooling2D, (3, 4))


def spectrograms() -> Iterator[Case]:
    kind, window = layers.STFTSpectrogram, {"frame_length": 16, "frame_step": 8, "fft_length": 16}
    for mode in ("magnitude", "psd", "real", "imag", "stft"):
        yield case(f"stft_{mode}", SIGNAL, kind, mode=mode, **window)
    yield case("stft_log", SIGNAL, kind, mode="log", frame_length=15, frame_step=8, fft_length=32, padding="same")
    yield case(
        "mel", ONE_SIGNAL, layers.MelSpectrogram,
        fft_length=64, num_mel_bins=8, sequence_stride=32, sampling_rate=1000, max_freq=400,
    )  # fmt: skip


def normalised_weights() -> Iterator[Case]:
    """At inference the kernel is what training has left; the vector u has no part in it."""
    yield case("spectral_dense", VECTOR, layers.SpectralNormalization, layers.Dense(5))
    yield case("spectral_conv", MAP, layers.SpectralNormalization, layers.Conv2D(4, 3), power_iterations=2)
    yield case("unit_two_axes", MAP, layers.UnitNormalization, axis=(1, 2))


def images_and_signals() -> Iterator[Case]:
    for rows in (resizing, adaptive_pooling, spectrograms, normalised_weights):
        yield from rows()
