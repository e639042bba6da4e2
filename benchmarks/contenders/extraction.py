"""Contenders of `../extraction.py`: the mean difference of two lists of texts at one block, read at the last token.

A job holds `folder`, `dtype` (null: the library's own default), `block`, `positive` and `negative` (texts without the
beginning-of-text token), and `batches`: where there are several, each runs once and the fastest stays. The result is
the vector of the first pairs and the batch size; a run adds the vector of all.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from worker import Job, Run, serve

from models import load

Vector = Callable[[list[str], list[str], Any], Any]
FIRST = "<|im_start|>"  # the model's beginning-of-text token
TRIED = 32  # pairs that are checked before anything is timed, and that choose the batch size


def trimtab(job: dict[str, Any]) -> tuple[Any, Run]:
    """Ours: one call for all texts; it batches by itself and puts the first token in front itself."""
    import trimtab as tt

    model, site = tt.load(job["folder"], dtype=job["dtype"] or "auto"), tt.Site(job["block"])

    def vector(positive: list[str], negative: list[str], batch: None) -> Any:
        h = model.capture([*positive, *negative], [site], read="last").activations[site]
        return (h[: len(positive)] - h[len(positive) :]).mean(dim=0)

    return _job(vector, job["positive"], job["negative"], None)


def steering_vectors(job: dict[str, Any]) -> Vector:
    """It keeps the block's output by a hook and runs the whole model, head included."""
    from steering_vectors import train_steering_vector

    model, tokenizer = load(job["folder"], job["dtype"] or "float32")

    def vector(positive: list[str], negative: list[str], batch: int) -> Any:
        pairs = list(zip(positive, negative, strict=True))
        result = train_steering_vector(model, tokenizer, pairs, layers=[job["block"]], batch_size=batch)
        return result.layer_activations[job["block"]]

    return vector


def repeng(job: dict[str, Any]) -> Vector:
    """Its own loop over batches, asked for one block only; its principal component is not timed."""
    import tqdm
    from repeng.extract import batched_get_hiddens

    tqdm.tqdm = lambda items: items  # its bar costs a little
    model, tokenizer = load(job["folder"], job["dtype"] or "float32")

    def vector(positive: list[str], negative: list[str], batch: int) -> Any:
        texts = [text for pair in zip(positive, negative, strict=True) for text in pair]  # in its own order
        h = batched_get_hiddens(model, tokenizer, texts, [job["block"]], batch)[job["block"]]
        return (h[::2] - h[1::2]).mean(axis=0)

    return vector


def nnsight(job: dict[str, Any]) -> Vector:
    """One trace per batch, stopped behind the block."""
    import torch
    from nnsight import LanguageModel

    options = {"dtype": getattr(torch, job["dtype"])} if job["dtype"] else {}
    model = LanguageModel(job["folder"], device_map="cpu", dispatch=True, **options)

    def last(texts: list[str], batch: int) -> Any:
        out = []
        for chunk in _chunks(texts, batch):
            with torch.no_grad(), model.trace(chunk) as tracer:
                h = model.model.layers[job["block"]].output.save()
                tracer.stop()
            out.append((h[0] if isinstance(h, tuple) else h)[:, -1].float())  # it pads on the left
        return torch.cat(out)

    return lambda positive, negative, batch: (last(positive, batch) - last(negative, batch)).mean(dim=0)


def plain(job: dict[str, Any]) -> Vector:
    """What one writes by hand: hidden states of the model without its head, texts as they come."""
    import torch

    model, tokenizer = load(job["folder"], job["dtype"] or "float32")

    def last(texts: list[str], batch: int) -> Any:
        out = []
        for chunk in _chunks(texts, batch):
            inputs = tokenizer(chunk, padding=True, return_tensors="pt")
            with torch.no_grad():
                h = model.model(**inputs, output_hidden_states=True).hidden_states[job["block"] + 1]
            ends = inputs["attention_mask"].sum(dim=1) - 1
            out.append(h[torch.arange(len(h)), ends].float())
        return torch.cat(out)

    return lambda positive, negative, batch: (last(positive, batch) - last(negative, batch)).mean(dim=0)


def peer(prepare: Callable[[dict[str, Any]], Vector]) -> Job:
    """A job: put the first token in front, choose the batch size."""

    def job_of(job: dict[str, Any]) -> tuple[Any, Run]:
        vector = prepare(job)
        positive, negative = ([FIRST + text for text in job[side]] for side in ("positive", "negative"))
        batch = _fastest(lambda size: vector(positive[:TRIED], negative[:TRIED], size), job["batches"])
        return _job(vector, positive, negative, batch)

    return job_of


def _job(vector: Vector, positive: list[str], negative: list[str], batch: int | None) -> tuple[Any, Run]:
    first = vector(positive[:TRIED], negative[:TRIED], batch).tolist()
    return {"vector": first, "batch": batch}, lambda: {"vector": vector(positive, negative, batch).tolist()}


def _fastest(work: Callable[[int], Any], sizes: list[int]) -> int:
    if len(sizes) == 1:
        return sizes[0]
    work(sizes[-1])  # the first run of a process is slow
    taken = {}
    for size in sizes:
        start = perf_counter()
        work(size)
        taken[size] = perf_counter() - start
    return min(taken, key=lambda size: taken[size])


def _chunks(texts: list[str], size: int) -> Iterator[list[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))


PEERS = {"steering-vectors": steering_vectors, "repeng": repeng, "nnsight": nnsight, "plain": plain}

if __name__ == "__main__":
    serve({"trimtab": trimtab, **{name: peer(prepare) for name, prepare in PEERS.items()}})
