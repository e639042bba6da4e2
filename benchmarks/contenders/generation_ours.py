"""trimtab as a contender of `../generation.py`: its `generate` unsteered, at strength 0, and with a vector of zeros."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from generation_pairs import Clock, Plain, Texts, Variant, paired
from worker import serve

from models import tokenizer


def trimtab(job: dict[str, Any]) -> tuple[Any, Callable[[], dict[str, Any]]]:
    """Every call of `generate` puts its hooks in place and takes them away, so that is timed."""
    import torch

    import trimtab as tt

    clock = Clock()
    clock.install()
    model = tt.load(job["folder"], dtype=job["dtype"])
    zeros = tt.Steering.from_vector(job["block"], torch.zeros(model.d_model))

    def generate(**edit: Any) -> Callable[[], Texts]:
        n = job["tokens"]
        return lambda: model.generate(job["prompts"], max_new_tokens=n, min_new_tokens=n, **edit)

    works = {
        "plain": Plain(model.hf, tokenizer(job["folder"]), job),
        "unsteered": generate(),
        "strength 0": generate(steering=zeros, strength=0.0),
        "steered": generate(steering=zeros, strength=1.0),
    }
    variants: dict[str, Variant] = {name: (nullcontext, work) for name, work in works.items()}
    return paired(variants, clock)


if __name__ == "__main__":
    serve({"trimtab": trimtab})
