"""How far llama.cpp, steered by a control vector that trimtab wrote, is from trimtab; on the embedded model.

    .venv/bin/python benchmarks/control_vectors.py > out/bench/control_vectors.md

The same vectors act in both at strengths 0, 1 and 2: with the 4-bit weights as they come, which llama.cpp multiplies
with activations rounded to 8 bits, and with the same weights written out in float32; with keys and values in
llama.cpp's default (float16) and in float32. trimtab computes in float32.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import environments
import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize
from harness import CONTENDERS, Contender, machine, table

import trimtab as tt
from trimtab.models.loading import EMBEDDED_FIX, embedded_file

FIRST = "<|im_start|>"  # the model's beginning-of-text token, which its GGUF does not ask for
SITES = (14, 20)
STRENGTHS = (0.0, 1.0, 2.0)
PROMPTS = ("The film was", "My day at work", "She opened the letter and", "Our neighbours are")
PAIRS = (
    ("I love this city.", "I hate this city."),
    ("What a wonderful day!", "What a dreadful day!"),
    ("The service was a delight.", "The service was a disgrace."),
    ("She is a joy to work with.", "She is a pain to work with."),
)
EXACT = 1e-3  # most absolute difference of logits where both compute in float32


def in_float32(source: Path, target: Path) -> None:
    """Write a GGUF model anew with all weights in float32."""
    read = GGUFReader(str(source))
    writer = GGUFWriter(str(target), read.fields["general.architecture"].contents())
    passed_over = ("general.architecture", "general.file_type", "general.quantization_version")
    for name, field in read.fields.items():
        if not name.startswith("GGUF.") and name not in passed_over:
            of = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], of)
    for tensor in read.tensors:
        writer.add_tensor(tensor.name, np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def library_of(python: str) -> Path:
    """The file with llama.cpp in it, of an environment."""
    (file,) = Path(python).parents[1].glob("lib/*/site-packages/xllamacpp/*.so")
    return file


def steered(model: tt.Model, steering: tt.Steering, ids: list[list[int]]) -> np.ndarray[Any, Any]:
    """trimtab's logits, `[strengths, prompts, vocabulary]`."""
    rows = []
    for strength in STRENGTHS:
        with model.steered(steering, strength), torch.no_grad():
            rows.append([model.hf(torch.tensor([row])).logits[0, -1].float().numpy() for row in ids])
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    environments.add_option(parser)
    arguments = parser.parse_args()
    source = embedded_file()
    if source is None:
        raise SystemExit(EMBEDDED_FIX)
    python = environments.python_of("llama-cpp", arguments.environments)
    model = tt.load("smollm2", dtype="float32")
    good, bad = zip(*PAIRS, strict=True)
    first, second = (tt.vector(model, good, bad, site=site, read="last") for site in SITES)
    ids = [model.tokenizer(FIRST + prompt)["input_ids"] for prompt in PROMPTS]
    ours, rows = steered(model, first + second, ids), []
    with TemporaryDirectory() as name:
        folder = Path(name)
        (first + second).save(folder / "steering")
        tt.convert(folder / "steering", folder / "vector.gguf")
        in_float32(source, folder / "whole.gguf")
        for weights, file in (("4 bits, as they come", source), ("float32", folder / "whole.gguf")):
            for exact in (False, True):
                job = {
                    "name": "llama.cpp", "library": str(library_of(python)), "model": str(file), "exact": exact,
                    "vector": str(folder / "vector.gguf"), "ids": ids, "strengths": list(STRENGTHS),
                    "logits": str(folder / "logits.npy"),
                }  # fmt: skip
                with Contender(python, CONTENDERS / "control_vectors.py", job):
                    theirs = np.load(folder / "logits.npy")
                apart = np.abs(theirs - ours).max(axis=(1, 2))
                kept = "float32" if exact else "float16, the default"
                rows.append([weights, kept, *(f"{value:.1e}" for value in apart)])
                if exact and weights == "float32" and apart.max() > EXACT:
                    raise SystemExit(f"logits differ by {apart.max():.2e}, more than {EXACT:.0e}")
    moved = np.abs(ours - ours[0]).max(axis=(1, 2))
    print(f"{machine()}; {len(PROMPTS)} prompts, blocks {' and '.join(map(str, SITES))}\n")
    print(table(["weights in the file", "keys and values", "unsteered", "strength 1", "strength 2"], rows))
    print(f"\nThe most that steering moves a logit: {moved[1]:.1f} at strength 1, {moved[2]:.1f} at strength 2.")


if __name__ == "__main__":
    main()
