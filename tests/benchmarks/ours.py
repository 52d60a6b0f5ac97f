"""torchgraft to a verified imported module: export, normalize, verify, import."""

from __future__ import annotations

import sys
import time

from models import build


def main(name: str) -> None:
    model = build(name)
    start = time.perf_counter()
    from torchgraft.pipeline.chain import stages
    from torchgraft.stages.base import Artifacts, ImportedModule, Job, Silent, Verification, run_stage
    from torchgraft.stages.load import generated_inputs

    artifacts = Artifacts(Job(model=model, module=None, inputs=generated_inputs(model, samples=4)))
    for stage in stages():
        if ImportedModule not in artifacts:
            run_stage(stage, artifacts, Silent())
    print(f"seconds {time.perf_counter() - start:.3f}")
    assert artifacts[Verification].verified, "the imported module is not verified"


main(sys.argv[1])
