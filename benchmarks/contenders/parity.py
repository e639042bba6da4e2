"""Contenders of `../parity.py`: other libraries make vectors and steer with them; nothing is timed.

Every job holds `folder` (the model), `block`, and what the function of its name says; files are handed over by path.
Logits are written as `.npy`, `[prompts, vocabulary]` of each prompt's last token; texts are greedy continuations.
"""

from pathlib import Path
from typing import Any

from worker import Run, serve

from models import load


def _nothing() -> None:
    return None


def repeng(job: dict[str, Any]) -> tuple[Any, Run]:
    """Trains a vector by each of `methods` at `blocks`, writes the first as GGUF to `gguf`, and steers with it."""
    from repeng import ControlVector, DatasetEntry

    model, tokenizer = load(job["folder"], "float32")
    pairs = [DatasetEntry(p, n) for p, n in zip(job["positive"], job["negative"], strict=True)]
    made = {
        method: ControlVector.train(model, tokenizer, pairs, hidden_layers=job["blocks"], method=method)
        for method in job["methods"]
    }
    first = made[job["methods"][0]]
    first.export_gguf(job["gguf"])
    vectors = {name: {k: v.tolist() for k, v in result.directions.items()} for name, result in made.items()}
    return {"vectors": vectors, "texts": _repeng_steers(model, tokenizer, first, job)}, _nothing


def repeng_reads(job: dict[str, Any]) -> tuple[Any, Run]:
    """Steers with the control vector that lies at `gguf`."""
    from repeng import ControlVector

    model, tokenizer = load(job["folder"], "float32")
    vector = ControlVector.import_gguf(job["gguf"])
    return {
        "hint": vector.model_type,
        "blocks": sorted(vector.directions),
        "texts": _repeng_steers(model, tokenizer, vector, job),
    }, _nothing


def _repeng_steers(model: Any, tokenizer: Any, vector: Any, job: dict[str, Any]) -> list[str]:
    from repeng import ControlModel

    control = ControlModel(model, sorted(vector.directions))
    control.set_control(vector, job["strength"])
    result = _written(control, tokenizer, job)
    control.unwrap()
    return result


def steering_vectors(job: dict[str, Any]) -> tuple[Any, Run]:
    """Its mean and its PCA at `blocks`; the mean goes to `file` by `torch.save`, and steers."""
    import torch
    from steering_vectors import mean_aggregator, pca_aggregator, train_steering_vector

    model, tokenizer = load(job["folder"], "float32")
    pairs = list(zip(job["positive"], job["negative"], strict=True))
    aggregators = {"mean": mean_aggregator(), "pca": pca_aggregator()}
    made = {
        name: train_steering_vector(model, tokenizer, pairs, layers=job["blocks"], aggregator=a, batch_size=8)
        for name, a in aggregators.items()
    }
    torch.save(made["mean"], job["file"])
    vectors = {name: {k: v.tolist() for k, v in v.layer_activations.items()} for name, v in made.items()}
    with made["mean"].apply(model, multiplier=job["strength"]):
        texts = _written(model, tokenizer, job)
    return {"vectors": vectors, "texts": texts}, _nothing


def _written(model: Any, tokenizer: Any, job: dict[str, Any]) -> list[str]:
    """Logits of `prompts`, one at a time so that nothing is padded, into `logits`; their continuations back."""
    import numpy as np
    import torch

    rows, texts = [], []
    for prompt in job["prompts"]:
        inputs = tokenizer(prompt, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            rows.append(model(**inputs).logits[0, -1].numpy())
            ids = model.generate(**inputs, max_new_tokens=job["tokens"], do_sample=False, pad_token_id=2)
        texts.append(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    np.save(Path(job["logits"]), np.stack(rows))
    return texts


if __name__ == "__main__":
    serve({"repeng": repeng, "repeng-reads": repeng_reads, "steering-vectors": steering_vectors})
