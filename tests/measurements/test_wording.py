"""What the wording alone explains: the vector of the same words in random order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.behaviors import Behavior, Example
from trimtab.behaviors.splits import Part, Splits
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.progress import Silent
from trimtab.measurements.effects import steered
from trimtab.measurements.wording import ShuffledWords, wording
from trimtab.results.report import Wording
from trimtab.storage.steps import Ledger

SITE = tt.Site(1)
STATEMENTS = [
    ("The morning is bright and the birds sing", "The evening is grey and the dogs bark"),
    ("My neighbour brought us fresh warm bread", "My neighbour left us stale cold soup"),
    ("Every child in the village was laughing", "No child in the village was smiling"),
]
# Many tokens, of which the words are two: all else is white space, which goes when the words are dealt anew.
GAP = ("a \n\n\n\n\n\n b", "c \n\n\n\n\n\n d")


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def experiment_for(model: tt.Model, statements: Sequence[tuple[str, str]]) -> Experiment:
    """An experiment that is trained and evaluated on the same bare statements."""
    examples = [Example("", positive, negative) for positive, negative in statements]
    every = Part(tuple(examples), tuple(map(str, range(len(examples)))))
    splits = Splits(Part(), every, Part(), every, Part())
    instrument = Instrument(model, Behavior("cheerful", examples), False, "mean")
    return Experiment(instrument, splits, (), 1.0, "all", 0, Ledger(None, ""), Silent())


def measured(on: Experiment) -> Wording:
    steering = tt.Steering.from_vector(SITE, torch.randn(32, generator=torch.Generator().manual_seed(0)))
    (own,) = steered(on, [steering])
    return wording(on, steering, own, trained=True)


def test_a_statement_whose_words_in_random_order_leave_nothing_to_read_is_left_out(tiny: tt.Model) -> None:
    on = experiment_for(tiny, [*STATEMENTS, GAP])
    assert all(on.instrument.readable(on.splits.train.examples))  # as it stands it can be read
    kept, alone = on.run(ShuffledWords(SITE)), experiment_for(tiny, STATEMENTS).run(ShuffledWords(SITE))
    for side in ("+", "-"):
        assert kept[side].shape == (3, 32)
        assert np.allclose(kept[side], alone[side], atol=1e-5)
    assert measured(on).shuffled.value is not None


def test_where_no_statement_is_left_the_effect_of_shuffled_words_is_not_measured(tiny: tt.Model) -> None:
    on = experiment_for(tiny, [GAP, (GAP[1].upper(), GAP[0].upper())])
    assert [rows.shape for rows in on.run(ShuffledWords(SITE)).values()] == [(0, 32), (0, 32)]
    shuffled = measured(on).shuffled
    assert shuffled.value is None
    assert shuffled.reason == "with their words in random order the answers leave no tokens to read"
