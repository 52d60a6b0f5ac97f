from __future__ import annotations

import numpy as np
import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, DifferenceError, RefusedError, UsageError

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
TOKENS = np.array([[1, 2], [3, 4], [0, 1]], "int32")


@pytest.fixture(scope="module")
def model():
    import keras
    from keras import layers

    image, token, count = keras.Input((4, 5), name="image"), keras.Input((2,), dtype="int32", name="token"), None
    count = keras.Input((1,), dtype="int64", name="count")
    embedded = layers.Flatten()(layers.Embedding(7, 3)(token))
    flat = layers.Flatten()(image)
    return keras.Model([image, token, count], layers.Concatenate()([flat, embedded, layers.Rescaling(1.0)(count)]))


@pytest.fixture(scope="module")
def single():
    import keras

    return keras.Sequential([keras.Input((4, 5), name="image"), keras.layers.Flatten()])


def test_a_lone_array_is_the_only_input_whatever_its_name(single, tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    np.savez(tmp_path / "x.npz", anything=IMAGES, labels=np.arange(3))
    (tmp_path / "x.py").write_text("import numpy as np\ndef x():\n    return np.load('%s')\n" % (tmp_path / "x.npy"))
    for source in ("x.npy", "x.npz", "x.py:x"):
        given = load.inputs(source, tmp_path, single)
        assert list(given) == ["image"]
        assert np.array_equal(given["image"], IMAGES)


def test_several_inputs_go_by_name_in_the_order_of_the_model(model, tmp_path):
    np.savez(tmp_path / "x.npz", token=TOKENS, count=np.ones((3, 1), "int64"), image=IMAGES, mine=np.arange(3))
    assert list(load.inputs("x.npz", tmp_path, model, labels_key="mine")) == ["image", "token", "count"]
    with pytest.raises(UsageError, match=r"mine.*\n.*token: int32 \(any, 2\)"):
        load.inputs("x.npz", tmp_path, model)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (IMAGES.astype("float64"), r"received float64 \(3, 4, 5\).*\n.*astype\('float32'\)"),
        (IMAGES[0], r"received float32 \(4, 5\), input image: float32 \(any, 4, 5\).*\n.*first axis is the batch"),
        (IMAGES.transpose(0, 2, 1), r"received float32 \(3, 5, 4\)"),
        (IMAGES[:0], "at least one"),
        (np.array(["a"]), "dtype <U1"),
    ],
)
def test_what_the_model_does_not_take_is_told_with_what_it_takes(single, tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UsageError, match=message):
        load.inputs("x.npy", tmp_path, single)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_by_index(single, tmp_path, value):
    array = IMAGES.copy()
    array[2, 1, 3] = value
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DifferenceError, match=r"\(2, 1, 3\)"):
        load.inputs("x.npy", tmp_path, single)


def test_pickled_arrays_are_refused_and_damaged_ones_corrupt(single, tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(RefusedError, match="Python objects"):
        load.inputs("objects.npy", tmp_path, single)
    np.save(tmp_path / "x.npy", IMAGES)
    content = (tmp_path / "x.npy").read_bytes()
    for damaged in (b"", content[:-8], b"hello"):
        (tmp_path / "x.npy").write_bytes(damaged)
        with pytest.raises(CorruptInputError):
            load.inputs("x.npy", tmp_path, single)


def test_generated_inputs_are_seeded_and_stay_in_range(model):
    ranges = {"count": (3, 5)}
    first, again = (load.generated_inputs(model, 200, seed=1, floats=(2.0, 4.0), ranges=ranges) for _ in range(2))
    other = load.generated_inputs(model, 200, seed=2, floats=(2.0, 4.0), ranges=ranges)
    assert {name: (array.shape, array.dtype.name) for name, array in first.items()} == {
        "image": ((200, 4, 5), "float32"), "token": ((200, 2), "int32"), "count": ((200, 1), "int64"),
    }  # fmt: skip
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)
    assert 2 <= first["image"].min() < first["image"].max() <= 4
    assert set(first["token"].ravel()) == set(range(7)), "the Embedding's own range"
    assert set(first["count"].ravel()) == {3, 4, 5}


def test_integers_without_a_range_and_ranges_without_an_input_are_usage_errors(model):
    with pytest.raises(UsageError, match=r"count.*\n.*range"):
        load.generated_inputs(model, 2)
    with pytest.raises(UsageError, match="image, token, count"):
        load.generated_inputs(model, 2, ranges={"cuont": (0, 1)})


def test_labels_are_one_integer_a_sample(tmp_path):
    np.savez(tmp_path / "x.npz", image=IMAGES, y=np.array([0, 2, 1]), hot=np.eye(3), hot_int=np.eye(3, dtype=int))
    assert load.labels("x.npz", tmp_path, 3, key="y").tolist() == [0, 2, 1]
    for key, samples, message in [
        ("y", 4, "3 labels for 4"),
        ("hot", 3, "float64"),
        ("hot_int", 3, "argmax"),
        ("z", 3, "'z'"),
    ]:
        with pytest.raises(UsageError, match=message):
            load.labels("x.npz", tmp_path, samples, key=key)
