"""How long stage 5 takes onto timm's EfficientNet-B0, against how long stage 1 takes to export Keras'.

    python tests/benchmarks/extraction.py [--repeats 7]

Seconds of the processor of each stage, in one process and one thread of torch, weights random, images of 224 by 224.
The stages run one after the other, as in a conversion, again and again; the ratio is that of the medians, and is to be
at most 1. The first run, with all that is loaded and compiled only once, is printed and counts like any other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other would be counted

LIMIT = 1.0


def main() -> None:
    import keras
    import numpy as np
    import timm
    from torchgraft.stages.base import Artifacts, Job, Silent, run_stage
    from torchgraft.stages.export import Export
    from torchgraft.stages.extract import Extract
    from torchgraft.stages.importer import Import
    from torchgraft.stages.normalize import Normalize

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    model = keras.applications.EfficientNetB0(weights=None, classes=10)
    module = timm.create_model("tf_efficientnet_b0", num_classes=10)
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype("float32")
    job = Job(model=model, module=module, inputs={model.inputs[0].name: images}, probe_samples=2)
    seconds: dict[str, list[float]] = {}
    for _ in range(repeats):
        artifacts = Artifacts(job)
        for stage in (Export(), Normalize(), Import(), Extract()):
            start = time.process_time()
            run_stage(stage, artifacts, Silent())
            seconds.setdefault(stage.name, []).append(time.process_time() - start)
    for name, each in seconds.items():
        print(f"{name:>10} {statistics.median(each):6.2f} s  ({', '.join(f'{one:.2f}' for one in each)})")
    ratio = statistics.median(seconds["extract"]) / statistics.median(seconds["export"])
    print(f"extract / export: {ratio:.2f} (at most {LIMIT:.0f})")
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
