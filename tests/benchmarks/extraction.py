"""How long stage 5 takes onto timm's EfficientNet-B0, against how long stage 1 takes to export Keras'.

    python tests/benchmarks/extraction.py

Seconds of the processor of each stage, in one process and one thread of torch, weights random, images of 224 by 224.
The ratio is to be at most 1.
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other would be counted


def main() -> None:
    import keras
    import numpy as np
    import timm
    from torchgraft.stages.base import Artifacts, Job, Silent, run_stage
    from torchgraft.stages.export import Export
    from torchgraft.stages.extract import Extract
    from torchgraft.stages.importer import Import
    from torchgraft.stages.normalize import Normalize

    model = keras.applications.EfficientNetB0(weights=None, classes=10)
    module = timm.create_model("tf_efficientnet_b0", num_classes=10)
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype("float32")
    job = Job(model=model, module=module, inputs={model.inputs[0].name: images}, probe_samples=2)
    artifacts, seconds = Artifacts(job), {}
    for stage in (Export(), Normalize(), Import(), Extract()):
        start = time.process_time()
        run_stage(stage, artifacts, Silent())
        seconds[stage.name] = time.process_time() - start
        print(f"{stage.name:>10} {seconds[stage.name]:6.2f} s")
    print(f"extract / export: {seconds['extract'] / seconds['export']:.2f} (at most 1)")


if __name__ == "__main__":
    main()
