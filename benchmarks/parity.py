"""Whether other libraries' vectors and files mean here what they mean there, and ours there; on the embedded model.

    .venv/bin/python benchmarks/parity.py > out/bench/parity.md

Files: each library, in an environment of its own, makes vectors from pairs of the built-in behavior `sentiment`, writes
its own file and steers with it; trimtab reads the file and must give the same logits and greedy texts. repeng reads
what trimtab wrote. Vectors: the same method on the same pairs, one for each block. All in float32; minutes.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import environments
import numpy as np
import torch
from extraction import texts_of
from gguf import GGUFReader
from harness import CONTENDERS, Contender, machine, model_folder, table
from torch import Tensor

import trimtab as tt
from trimtab.integrations.checkpoints import read_checkpoint
from trimtab.integrations.control_vectors import read_control_vector, write_control_vector
from trimtab.interventions import Site
from trimtab.models import Batch, Plan, steer
from trimtab.steering import Steering
from trimtab.steering.methods import MeanDifference, Sides
from trimtab.steering.methods.pca import PCA

FIRST = "<|im_start|>"  # the model's beginning-of-text token, which peers are given as text
BLOCKS = (10, 14, 18, 29)  # the last of 30 among them
STRENGTH = {"repeng": 6.0, "repeng-reads": 2.0, "steering-vectors": 2.0}  # repeng's vectors have length 1
METHODS = ("pca_center", "pca_diff")
PROMPTS = ("The film was", "My day at work", "She opened the letter and", "Our neighbours are")
TOKENS = 16
LOGITS = 1e-3  # most absolute difference of float32 logits
ALIKE = 0.999  # least cosine where definitions agree
Activations = Mapping[Site, Sides]


class Peers:
    """Jobs for the contenders, each done once in its own environment."""

    def __init__(self, folder: Path, root: Path, pairs: int) -> None:
        positive, negative = texts_of("text", pairs)
        self.folder, self.root = folder, root
        self.job: dict[str, Any] = {
            "folder": str(model_folder()), "blocks": list(BLOCKS), "methods": list(METHODS), "tokens": TOKENS,
            "prompts": [FIRST + prompt for prompt in PROMPTS],
            "positive": [FIRST + text for text in positive], "negative": [FIRST + text for text in negative],
        }  # fmt: skip

    def done(self, name: str, **files: Path) -> dict[str, Any]:
        """The job's result, with its `logits` `[prompts, V]`."""
        peer = name.removesuffix("-reads")
        where = {**{key: str(file) for key, file in files.items()}, "logits": str(self.folder / f"{name}.npy")}
        job = {**self.job, **where, "name": name, "strength": STRENGTH[name]}
        with Contender(environments.python_of(peer, self.root), CONTENDERS / "parity.py", job) as contender:
            return {**contender.result, "logits": np.load(where["logits"])}


def captured(model: tt.Model, peers: Peers) -> Activations:
    """Activations of both sides at the blocks."""
    sides = [[text.removeprefix(FIRST) for text in peers.job[side]] for side in ("positive", "negative")]
    results = [model.capture(texts, list(BLOCKS), read="last").activations for texts in sides]
    return {Site(block): Sides(results[0][Site(block)], results[1][Site(block)]) for block in BLOCKS}


def logits(model: tt.Model, steering: Steering | None, strength: float) -> np.ndarray[Any, Any]:
    """`[prompts, V]` behind each prompt, by the one forward pass."""
    steers = () if steering is None else (steer(steering, strength),)
    rows = []
    for prompt in PROMPTS:
        ids = torch.tensor([model.tokenizer(FIRST + prompt)["input_ids"]])
        n = ids.shape[1]
        batch = Batch(ids, torch.ones(1, n, dtype=torch.bool), torch.arange(n)[None], torch.tensor([n]))
        last = model.forward(batch, Plan(steers, logits="last")).logits
        assert last is not None
        rows.append(last[0].numpy())
    return np.stack(rows)


def steered_row(what: str, model: tt.Model, steering: Steering, name: str, theirs: Mapping[str, Any]) -> list[object]:
    """A line of the first table.

    Raises:
        SystemExit: they differ by more than rounding.
    """
    ours = logits(model, steering, STRENGTH[name])
    moved = float(np.abs(ours - logits(model, None, 0.0)).max())
    off = Steering({site.block - 1: edit for site, edit in steering.edits.items()}, steering.attributes)
    wrong = float(np.abs(logits(model, off, STRENGTH[name]) - theirs["logits"]).max())
    apart = float(np.abs(ours - theirs["logits"]).max())
    texts = model.generate(list(PROMPTS), steering=steering, strength=STRENGTH[name], max_new_tokens=TOKENS)
    same = sum(a == b for a, b in zip(texts, theirs["texts"], strict=True))
    if apart > LOGITS:
        raise SystemExit(f"{what}: logits differ by {apart:.2e}, more than {LOGITS:.0e}")
    blocks = ", ".join(str(site.block) for site in sorted(steering.edits))
    return [
        what,
        blocks,
        f"{STRENGTH[name]:g}",
        f"{moved:.1f}",
        f"{apart:.1e}",
        f"{wrong:.1f}",
        f"{same} of {len(texts)}",
    ]


def steered_rows(model: tt.Model, peers: Peers, data: Activations) -> tuple[list[list[object]], dict[str, Any]]:
    """Files in both directions, and the vectors that the peers made on the way."""
    gguf, back, saved = (peers.folder / name for name in ("theirs.gguf", "ours.gguf", "theirs.pt"))
    theirs = {"repeng": peers.done("repeng", gguf=gguf), "steering-vectors": peers.done("steering-vectors", file=saved)}
    mine = MeanDifference().fit({"positive": {Site(14): data[Site(14)]}}, made_for=model.facts)
    write_control_vector(mine, back)
    read = [tensor.name for tensor in GGUFReader(str(back)).tensors]
    theirs["repeng-reads"] = peers.done("repeng-reads", gguf=back)
    if read != ["direction.14"] or theirs["repeng-reads"]["blocks"] != [14]:
        raise SystemExit(f"a vector of block 14 is read back as {read} and {theirs['repeng-reads']['blocks']}")
    imported = {
        "repeng": read_control_vector(gguf, "positive"),
        "steering-vectors": read_checkpoint(saved),
        "repeng-reads": mine,
    }
    what = {
        "repeng": "repeng's GGUF, read by trimtab",
        "steering-vectors": "steering-vectors' `.pt`, read by trimtab",
        "repeng-reads": "trimtab's GGUF, read by repeng",
    }
    return [steered_row(what[name], model, imported[name], name, theirs[name]) for name in what], theirs


def vector_rows(model: tt.Model, data: Activations, theirs: Mapping[str, Any]) -> list[list[object]]:
    """Lines of the second table, for block 14 and the last block."""
    after_norm = {site: Sides(_normed(model, s.positive), _normed(model, s.negative)) for site, s in data.items()}
    results = {name: peer["vectors"] for name, peer in theirs.items() if "vectors" in peer}
    rows = []
    for block in (14, BLOCKS[-1]):
        sides, normed, last = data[Site(block)], after_norm[Site(block)], block == BLOCKS[-1]
        both = [
            ("mean difference", _mean(sides), "steering-vectors", "mean", True),
            ("PCA", _pca(sides), "steering-vectors", "pca", True),
            ("PCA", _pca(sides), "repeng", "pca_center", not last),
            ("PCA", _pca(sides), "repeng", "pca_diff", False),
            ("PCA of centred differences, by hand", _centred(sides), "repeng", "pca_diff", not last),
        ]
        if last:
            both += [
                ("PCA behind the final norm, by hand", _pca(normed), "repeng", "pca_center", True),
                (
                    "PCA of centred differences behind the final norm, by hand",
                    _centred(normed),
                    "repeng",
                    "pca_diff",
                    True,
                ),
            ]
        for name, ours, peer, method, alike in both:
            cosine = _cosine(ours, torch.tensor(results[peer][method][str(block)]).double())
            if alike and not cosine > ALIKE:
                raise SystemExit(f"{name} at block {block} is not {peer}'s {method}: cosine {cosine:.5f}")
            rows.append([block, name, f"{peer} `{method}`", f"{cosine:.5f}", "yes" if alike else "no"])
    return rows


def _mean(sides: Sides) -> Tensor:
    return MeanDifference().edit({"it": sides}, 0).vectors[0].double()


def _pca(sides: Sides) -> Tensor:
    return PCA().edit({"it": sides}, 0).vectors[0].double()


def _centred(sides: Sides) -> Tensor:
    """First component of the differences about their mean, toward the positive side of most pairs."""
    d = sides.positive - sides.negative
    first: Tensor = torch.linalg.svd(d - d.mean(dim=0), full_matrices=False).Vh[0]
    return first if (d @ first > 0).double().mean() >= 0.5 else -first


def _normed(model: tt.Model, h: Tensor) -> Tensor:
    with torch.no_grad():
        normed: Tensor = model.hf.model.norm(h.float())
    return normed


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / a.norm() / b.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    environments.add_option(parser)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        peers = Peers(Path(folder), arguments.environments, arguments.pairs)
        model = tt.load("smollm2", dtype="float32")
        data = captured(model, peers)
        steered, theirs = steered_rows(model, peers, data)
        vectors = vector_rows(model, data, theirs)
    print(f"{machine()}; {arguments.pairs} pairs\n")
    prompt_prefix = ["file", "blocks", "strength", "most it moves a logit", "largest difference of logits"]
    header = [*prompt_prefix, "were blocks one off", "same greedy texts"]
    print(table(header, steered))
    print(f"\n{table(['block', 'trimtab', 'peer', 'cosine', 'same definition'], vectors)}")


if __name__ == "__main__":
    main()
