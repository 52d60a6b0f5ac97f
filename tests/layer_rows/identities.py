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


IMAGE = (9, 11, 3)
AUGMENTATIONS = (
    (layers.AugMix, {}),
    (layers.CutMix, {}),
    (layers.MaxNumBoundingBoxes, {"max_number": 3, "bounding_box_format": "xyxy"}),
    (layers.MixUp, {}),
    (layers.RandAugment, {}),
    (layers.RandomBrightness, {"factor": 0.1}),
    (layers.RandomColorDegeneration, {"factor": 0.5}),
    (layers.RandomColorJitter, {}),
    (layers.RandomContrast, {"factor": 0.2}),
    (layers.RandomCrop, {"height": 7, "width": 9}),
    (layers.RandomElasticTransform, {}),
    (layers.RandomErasing, {}),
    (layers.RandomFlip, {}),
    (layers.RandomGaussianBlur, {}),
    (layers.RandomGrayscale, {}),
    (layers.RandomHue, {"factor": 0.2}),
    (layers.RandomInvert, {"factor": 0.5}),
    (layers.RandomPerspective, {}),
    (layers.RandomPosterization, {"factor": 3}),
    (layers.RandomRotation, {"factor": 0.2}),
    (layers.RandomSaturation, {"factor": 0.2}),
    (layers.RandomSharpness, {"factor": 0.2}),
    (layers.RandomShear, {"x_factor": 0.1, "y_factor": 0.1}),
    (layers.RandomTranslation, {"height_factor": 0.1, "width_factor": 0.1}),
    (layers.RandomZoom, {"height_factor": 0.1}),
    (layers.Solarization, {"value_range": (0, 1)}),
)


def augmentations() -> Iterator[Case]:
    """What changes images while training alone."""
    for kind, options in AUGMENTATIONS:
        yield case(kind.__name__.lower(), IMAGE, kind, **options)
