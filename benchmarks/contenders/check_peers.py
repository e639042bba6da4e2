"""steering-vectors as a contender of `../check.py`: what one writes with it to get the figures of a check.

A job holds `folder`, `site`, `batch`, `train` (pairs of texts by prompt type), `evaluation` (for each example its
`positive` and `negative` text and the tokens before their answers), `tokens` (how many all texts have together),
`chosen` (the prompt type of the curve), `strengths` and `curve_rows`.
"""

from collections.abc import Callable
from typing import Any

from worker import serve

from models import load


def steering_vectors(job: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """Seven vectors, each scored at +1 and -1 on all evaluation examples, and one of them over more strengths."""
    from steering_vectors import train_steering_vector

    model, tokenizer = load(job["folder"], "float32")
    _same_tokens(tokenizer, job)
    batch, examples = job["batch"], job["evaluation"]

    def run() -> dict[str, Any]:
        base = propensities(model, tokenizer, examples, batch)
        effects, odd, curve = {}, {}, {}
        for name, pairs in job["train"].items():
            vector = train_steering_vector(
                model, tokenizer, [tuple(pair) for pair in pairs], layers=[job["site"]], batch_size=batch
            )
            at = {0.0: base}
            for strength in (1.0, -1.0):
                with vector.apply(model, multiplier=strength):
                    at[strength] = propensities(model, tokenizer, examples, batch)
            effects[name] = (at[1.0] - base).tolist()
            odd[name] = ((at[1.0] - at[-1.0]) / 2).mean().item()
            if name != job["chosen"]:
                continue
            rows = job["curve_rows"]
            for strength in job["strengths"]:
                if strength not in at:
                    with vector.apply(model, multiplier=strength):
                        at[strength] = propensities(model, tokenizer, examples[:rows], batch)
                curve[str(strength)] = (at[strength][:rows] - base[:rows]).mean().item()
        return {"effects": effects, "odd": odd, "curve": curve}

    return run(), lambda: run() and None


def propensities(model: Any, tokenizer: Any, examples: list[dict[str, Any]], batch: int) -> Any:
    """`[n]` nats per token of the positive answer minus those of the negative."""
    rows = [(e[side], e[f"{side}_prompt"]) for e in examples for side in ("positive", "negative")]
    both = mean_logprobs(model, tokenizer, rows, batch)
    return both[::2] - both[1::2]


def mean_logprobs(model: Any, tokenizer: Any, rows: list[tuple[str, int]], batch: int) -> Any:
    """`[n]` mean log-probability of the tokens behind each text's prompt, float64."""
    import torch

    out = []
    for start in range(0, len(rows), batch):
        texts, prompts = zip(*rows[start : start + batch], strict=True)
        inputs = tokenizer(list(texts), return_tensors="pt", padding=True)
        ids, lengths = inputs["input_ids"], inputs["attention_mask"].sum(dim=1).tolist()
        with torch.no_grad():
            logprobs = model(**inputs).logits.float().log_softmax(dim=-1)  # (B, T, vocabulary)
        following = logprobs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]  # (B, T - 1)
        for row, prompt, length in zip(following, prompts, lengths, strict=True):
            out.append(row[prompt - 1 : length - 1].double().mean())
    return torch.stack(out)


def _same_tokens(tokenizer: Any, job: dict[str, Any]) -> None:
    texts = [text for pairs in job["train"].values() for pair in pairs for text in pair]
    texts += [e[side] for e in job["evaluation"] for side in ("positive", "negative")]
    tokens = sum(map(len, tokenizer(texts)["input_ids"]))
    assert tokens == job["tokens"], f"{tokens} tokens here, {job['tokens']} in trimtab"


if __name__ == "__main__":
    serve({"steering-vectors": steering_vectors})
