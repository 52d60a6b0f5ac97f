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
