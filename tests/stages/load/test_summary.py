from __future__ import annotations

import subprocess
import sys

from torchgraft.stages import load


def test_both_formats_are_summarised_from_their_own_structure(saved):
    by_zip, by_h5 = load.inspect("model.keras", saved), load.inspect("model.h5", saved)
    import keras

    model = keras.saving.load_model(saved / "model.keras")
    for summary in (by_zip, by_h5):
        assert summary.parameters == model.count_params() == sum(layer.parameters for layer in summary.layers)
        assert [(one.name, one.shape, one.dtype) for one in summary.inputs] == [("features", (None, 4), "float32")]
        assert summary.keras_version == keras.__version__
        assert not summary.refusals
    counts = {layer.path: layer.parameters for layer in by_zip.layers}
    assert counts["left"] == counts["encoder/inner"] == 4 * 4 + 4
    assert counts["norm"] == 4 * 4


def test_inspecting_loads_neither_tensorflow_nor_torch(saved):
    program = (
        "import sys\nfrom torchgraft.stages import load\n"
        f"load.inspect({str(saved / 'model.keras')!r})\nload.inspect({str(saved / 'model.h5')!r})\n"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/")


def test_weights_only_an_architecture_alone_and_a_saved_model_are_summarised_too(saved, tmp_path):
    import keras

    model = keras.saving.load_model(saved / "model.keras")
    only = load.inspect("only.weights.h5", saved)
    assert only.parameters == model.count_params() == sum(layer.parameters for layer in only.layers)
    assert {layer.path for layer in only.layers} == {"left", "inner", "right", "norm", "head"}
    assert "weights only" in only.refusals[0]
    (tmp_path / "model.json").write_text(model.to_json())
    alone = load.inspect("model.json", tmp_path)
    assert alone.class_name == "Functional"
    assert [(one.name, one.shape) for one in alone.inputs] == [("features", (None, 4))]
    model.export(str(tmp_path / "folder"), verbose=False)
    folder = load.inspect("folder", tmp_path)
    assert folder.parameters == model.count_params() + 2  # the state of the Dropout's generator
    assert [(one.shape, one.dtype) for one in folder.inputs] == [((None, 4), "float32")]
    assert "trust: true" in folder.refusals[-1]
    program = (
        "import sys\nfrom torchgraft.stages import load\n"
        f"load.inspect({str(tmp_path / 'folder')!r})\nload.inspect({str(tmp_path / 'model.json')!r})\n"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/")
