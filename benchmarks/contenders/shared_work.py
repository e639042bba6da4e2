"""A fixed piece of a check, in a process of its own: examples scored under a few variants of a vector."""

import os
from typing import Any

from worker import Run, serve


def scoring(job: dict[str, Any]) -> tuple[Any, Run]:
    """Sentiment's first examples under `variants` random vectors, in bfloat16.

    Args:
        job: `rows`, `variants`, `threads`, and `policy`, OpenMP's for threads that wait; None for its own.
    """
    os.environ.pop("OMP_WAIT_POLICY", None)
    if job["policy"] is not None:  # before torch is imported, which reads it then
        os.environ["OMP_WAIT_POLICY"] = job["policy"]

    import torch

    import trimtab as tt
    from trimtab.experiment.instrument import Instrument, Treatment
    from trimtab.models import steer

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    model, behavior = tt.load("smollm2", dtype="bfloat16"), tt.Behavior.builtin("sentiment")
    instrument = Instrument(model, behavior, False, "mean")
    vectors = [tt.Steering.from_vector(17, torch.randn(model.d_model)) for _ in range(job["variants"] - 1)]
    treatments = [Treatment(), *(Treatment((steer(v, v.scaled(1.0), "all"),)) for v in vectors)]
    examples = behavior.examples[: job["rows"]]

    def run() -> None:
        instrument.propensities(examples, treatments)

    run()  # what is slow the first time
    return torch.get_num_threads(), run


if __name__ == "__main__":
    serve({"scoring": scoring})
