"""A contender of `../serving.py`: transformers' own `generate` of one token, from text to text."""

from collections.abc import Callable
from typing import Any

from worker import serve

from models import load


def bare(job: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """One greedy token after the prompt."""
    import torch

    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    model, tokenizer = load(job["folder"], job["dtype"])

    def run() -> None:
        inputs = tokenizer(job["prompt"], return_tensors="pt", return_token_type_ids=False)
        ids = model.generate(**inputs, max_new_tokens=1, do_sample=False)
        tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :])

    run()
    return None, run


if __name__ == "__main__":
    serve({"bare generate": bare})
