"""Steerings of every kind for a tiny Llama, strong enough to change what it says."""

from pathlib import Path

import torch

import trimtab as tt
from trimtab.steering import Additive
from trimtab.steering.edits import Ablation, Clamp, ClassifierGradient, Gated, Rotation, StoredEdit


def edits(width: int) -> dict[str, StoredEdit]:
    """One edit of each kind with one attribute, by a name for it."""
    generator = torch.Generator().manual_seed(7)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "additive": Additive(4 * drawn(1, width)),
        "keep-norm": Additive(6 * drawn(1, width), keep_norm=True),
        "gated": Gated(8 * drawn(1, width), drawn(1, width), drawn(1), threshold=0.3),
        "ablation": Ablation(drawn(1, width)),
        "rotation": Rotation(drawn(1, width), drawn(1, width), torch.tensor([1.0])),
        "clamp": Clamp(drawn(1, width), torch.tensor([6.0])),
        "classifier": ClassifierGradient(
            drawn(width), drawn(width).abs() + 1, drawn(8, width), drawn(8), drawn(1, 8), drawn(1), step=4.0, steps=2
        ),
    }


def write_steerings(folder: Path, model: tt.Model) -> dict[str, tt.Steering]:
    """A folder with a steering for each kind, one of several kinds, one at several sites, and `shouting`."""
    kinds = edits(model.d_model)
    made = {name: tt.Steering({1: edit}, {name: 1.0}, made_for=model.facts) for name, edit in kinds.items()}
    several = {1: kinds["additive"], "attention:2": kinds["gated"], "mlp:0": kinds["additive"]}
    made["several"] = tt.Steering(several, {"several": 1.0}, made_for=model.facts)
    made["stack"] = tt.Steering.combined([made["additive"], made["gated"], made["rotation"]])
    made["shouting"] = shouting(model)
    for name, steering in made.items():
        steering.save(folder / name)
    return made


def shouting(model: tt.Model) -> tt.Steering:
    """One under which hardly another letter than one comes."""
    letter = model.tokenizer.encode("a", add_special_tokens=False)[-1]
    direction = model.hf.get_output_embeddings().weight[letter].detach()
    return tt.Steering.from_vector(1, 1000 * direction / direction.norm(), "shouting", made_for=model.facts)
