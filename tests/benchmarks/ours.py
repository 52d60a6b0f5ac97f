"""torchgraft to a verified imported module: export, normalize, verify, import."""

from __future__ import annotations

import sys
import time

from models import build


def main(name: str) -> None:
    model = build(name)
    start = time.perf_counter()
    from torchgraft.stages.base import Artifacts, Job, Silent, Verification, run_stage
    from torchgraft.stages.export import Export
    from torchgraft.stages.importer import Import
    from torchgraft.stages.load import generated_inputs
    from torchgraft.stages.normalize import Normalize
    from torchgraft.stages.verify import Verify

    artifacts = Artifacts(Job(model=model, module=None, inputs=generated_inputs(model, samples=4)))
    for stage in (Export(), Normalize(), Verify(), Import()):
        run_stage(stage, artifacts, Silent())
    print(f"seconds {time.perf_counter() - start:.3f}")
    assert artifacts[Verification].verified, "the imported module is not verified"


main(sys.argv[1])
