"""One contender of `extraction.py`, run in its own environment: loads the model, then works whenever it is told to.

    PYTHON benchmarks/contenders.py NAME MODEL_FOLDER TEXTS.json DTYPE BATCH_SIZE

Prints the vector as JSON first, then the seconds of one run for every line on standard input. Every text already begins
with the beginning-of-text token; the vector is the mean difference of the last tokens' activations at block 14.
"""

import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

BLOCK = 14


def trimtab(folder: str, positive: list[str], negative: list[str], dtype: str, batch: int) -> Callable[[], Any]:
    import trimtab as tt

    model = tt.load(folder, dtype=dtype)
    first = model.tokenizer.bos_token

    def run() -> Any:
        sides = [[t.removeprefix(first) for t in side] for side in (positive, negative)]
        plus, minus = (model.capture(side, [BLOCK], read="last").activations[tt.Site(BLOCK)] for side in sides)
        return (plus - minus).mean(dim=0)

    return run


def steering_vectors(
    folder: str, positive: list[str], negative: list[str], dtype: str, batch: int
) -> Callable[[], Any]:
    from steering_vectors import train_steering_vector

    model, tokenizer = _plain(folder, dtype)
    pairs = list(zip(positive, negative, strict=True))

    def run() -> Any:
        found = train_steering_vector(model, tokenizer, pairs, layers=[BLOCK], batch_size=batch)
        return found.layer_activations[BLOCK]

    return run


def repeng(folder: str, positive: list[str], negative: list[str], dtype: str, batch: int) -> Callable[[], Any]:
    import tqdm
    from repeng.extract import batched_get_hiddens

    tqdm.tqdm = lambda items: items  # its bar costs a little
    model, tokenizer = _plain(folder, dtype)

    def run() -> Any:
        plus, minus = (batched_get_hiddens(model, tokenizer, t, [BLOCK], batch)[BLOCK] for t in (positive, negative))
        return (plus - minus).mean(axis=0)

    return run


def nnsight(folder: str, positive: list[str], negative: list[str], dtype: str, batch: int) -> Callable[[], Any]:
    import torch
    from nnsight import LanguageModel

    model = LanguageModel(folder, device_map="cpu", dtype=getattr(torch, dtype), dispatch=True)

    def last(texts: list[str]) -> torch.Tensor:
        out = []
        for start in range(0, len(texts), batch):
            with torch.no_grad(), model.trace(texts[start : start + batch]) as tracer:
                h = model.model.layers[BLOCK].output.save()
                tracer.stop()
            out.append((h[0] if isinstance(h, tuple) else h)[:, -1].float())  # it pads on the left
        return torch.cat(out)

    return lambda: (last(positive) - last(negative)).mean(dim=0)


def plain(folder: str, positive: list[str], negative: list[str], dtype: str, batch: int) -> Callable[[], Any]:
    import torch

    model, tokenizer = _plain(folder, dtype)

    def last(texts: list[str]) -> torch.Tensor:
        out = []
        for start in range(0, len(texts), batch):
            inputs = tokenizer(texts[start : start + batch], padding=True, return_tensors="pt")
            with torch.no_grad():
                h = model.model(**inputs, output_hidden_states=True).hidden_states[BLOCK + 1]
            ends = inputs["attention_mask"].sum(dim=1) - 1
            out.append(h[torch.arange(len(h)), ends].float())
        return torch.cat(out)

    return lambda: (last(positive) - last(negative)).mean(dim=0)


def _plain(folder: str, dtype: str) -> tuple[Any, Any]:
    import torch
    import transformers

    kind = getattr(torch, dtype)
    if int(transformers.__version__.split(".")[0]) < 5:  # older ones look for the rotary base elsewhere
        config = transformers.AutoConfig.from_pretrained(folder)
        with open(f"{folder}/config.json") as file:
            config.rope_theta = json.load(file)["rope_parameters"]["rope_theta"]
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=kind)
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{folder}/tokenizer.json", pad_token="<|im_end|>", padding_side="right"
    )
    return model.eval(), tokenizer


def main() -> None:
    name, folder, texts, dtype, batch = sys.argv[1:]
    with open(texts) as file:
        positive, negative = json.load(file)
    answers = sys.stdout
    sys.stdout = sys.stderr  # a contender's own chatter goes elsewhere
    run = globals()[name.replace("-", "_")](folder, positive, negative, dtype, int(batch))
    print(json.dumps([float(x) for x in run()]), file=answers, flush=True)
    for _ in sys.stdin:
        start = perf_counter()
        run()
        print(perf_counter() - start, file=answers, flush=True)


if __name__ == "__main__":
    main()
