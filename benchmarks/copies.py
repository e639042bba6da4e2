"""Two relatives of the embedded model, for studies of whether its geometry carries over.

    .venv/bin/python benchmarks/copies.py --data ../shared/data --out out/copies

`q4_0.gguf`: its GGUF file with the four-bit weights rounded once more, to the coarser Q4_0. `tuned`: a LoRA adapter
(rank 8, queries and values) trained on the film reviews of nltk's sentence_polarity and merged into the weights.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize
from torch import Tensor

import trimtab as tt
from trimtab.models.loading import embedded_file

STEPS, BATCH, RATE, TOKENS = 150, 16, 1e-3, 64


def rounded(source: Path, target: Path) -> float:
    """Write the file anew with its Q4_1 tensors as Q4_0; the mean relative change of these tensors."""
    reader = GGUFReader(str(source))
    writer = GGUFWriter(str(target), "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    changes = []
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if kind is GGMLQuantizationType.Q4_1:
            whole = dequantize(data, kind)
            data, kind = quantize(whole, GGMLQuantizationType.Q4_0), GGMLQuantizationType.Q4_0
            changed = dequantize(data, kind) - whole
            changes.append(float((changed**2).sum() ** 0.5 / (whole**2).sum() ** 0.5))
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sum(changes) / len(changes)


def tuned(reviews: list[str], target: Path) -> tuple[float, float]:
    """Train an adapter and save the merged model; loss of the first and of the last ten steps, nats a token."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = tt.load("smollm2", dtype="bfloat16")
    adapter = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    student: Any = get_peft_model(model.hf, adapter)
    weights = [p for p in student.parameters() if p.requires_grad]
    for p in weights:
        p.data = p.data.float()
    optimizer, losses = torch.optim.AdamW(weights, lr=RATE), []
    for ids, mask in batches(model, reviews):
        with torch.autocast("cpu", torch.bfloat16):
            loss = student(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    merged = student.merge_and_unload().to(torch.bfloat16)
    merged.save_pretrained(target)
    model.tokenizer.save_pretrained(target)
    return sum(losses[:10]) / 10, sum(losses[-10:]) / 10


def batches(model: tt.Model, reviews: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of texts, drawn at random: ids and masks, [B, T]."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        some = [reviews[i] for i in torch.randint(len(reviews), (BATCH,), generator=generator)]
        rows = [model.tokenizer.encode(text)[:TOKENS] for text in some]
        ids, mask = torch.zeros(2, BATCH, max(map(len, rows)), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
        yield ids, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the two models")
    args = parser.parse_args()
    source = embedded_file()
    if source is None:
        raise SystemExit("the embedded model is not installed; run make install")
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"q4_0.gguf: weights changed by {rounded(source, args.out / 'q4_0.gguf'):.1%} of their norm")
    files = sorted((args.data / "nltk" / "sentence_polarity").glob("rt-polarity.*"))
    reviews = [line.strip() for file in files for line in file.read_text("latin-1").splitlines() if line.strip()]
    first, last = tuned(reviews, args.out / "tuned")
    print(f"tuned: {len(reviews)} reviews, {STEPS} steps; loss from {first:.2f} to {last:.2f} nats a token")


if __name__ == "__main__":
    main()
