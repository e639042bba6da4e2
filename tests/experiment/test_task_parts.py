"""How tasks are dealt to parts, and what is fitted to them."""

from collections import Counter

import pytest

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.tasks import BehaviorTask, Task, Unit
from trimtab.experiment.task_parts import Sizes, TaskParts, deal, deal_all, experiment_of
from trimtab.texts import Rendered

PLACES = (
    "harbour", "library", "bakery", "garden", "station", "museum", "castle", "market", "school", "theatre", "forest",
    "island", "bridge", "cinema", "office", "kitchen", "valley", "tower", "beach", "chapel",
)  # fmt: skip
EXAMPLES = [
    tt.Example(f"{verb} the {place} on day {k}.", f" Welcome to the {place}.", f" Leave the {place}.", group=place)
    for place in PLACES
    for k, verb in enumerate(("Describe", "Visit", "Open"))
]
SIZES = Sizes(train=10, dev=6, test=8)


class Rows(Task[Unit]):
    """Nothing but units."""

    name = "rows"
    source = "ours"
    figures = ()

    @classmethod
    def load(cls, source: str) -> "Rows":
        raise NotImplementedError

    def score(self, unit, answered):
        return {}


@pytest.fixture(scope="module")
def model(tiny_folder) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def parts_of(seed: int, sizes: Sizes = SIZES) -> TaskParts:
    return deal(BehaviorTask(tt.Behavior("kind", EXAMPLES)), seed, sizes)


def units(part: Task) -> set[str]:
    return {u.id for u in part.units}


def test_parts_share_no_cluster_and_the_lock_box_is_the_same_in_every_seed():
    dealt = [parts_of(seed) for seed in range(5)]
    for own in dealt:
        clusters = [{u.cluster for u in part.units} for part in (own.train, own.dev, own.test, own.lockbox)]
        assert all(a.isdisjoint(b) for i, a in enumerate(clusters) for b in clusters[i + 1 :])
        assert units(own.lockbox) == units(dealt[0].lockbox)
    assert len({frozenset(units(own.test)) for own in dealt}) > 1
    assert len({u.cluster for u in dealt[0].lockbox.units}) == 5  # a quarter of 20


def test_a_part_is_of_as_many_clusters_as_can_be():
    wide = [Unit(f"{c} {k}", str(c), (Rendered("", "", "x"),)) for c in range(12) for k in range(9 if c % 2 else 2)]
    own = deal(Rows(wide), 0, Sizes(test=6, dev=4))
    assert max(Counter(u.cluster for u in own.test.units).values()) == 2  # 6 units of 3 to 5 clusters
    assert len(own.test.units) == 6


def test_tasks_that_share_rows_are_dealt_alike_though_one_has_more():
    wide, some, other = (
        Rows([Unit(f"{name} {c}", f"{name} {c}", ()) for c in which])
        for name, which in (("a", range(80)), ("a", range(0, 80, 2)), ("b", range(20)))
    )
    for seed in range(4):
        dealt = deal_all({"wide": wide, "some": some, "other": other}, seed, SIZES)
        for name in ("train", "dev", "test", "lockbox"):
            whole = {u.cluster for u in getattr(deal(wide, seed, Sizes(train=99, dev=99, test=99)), name).units}
            assert {u.cluster for u in getattr(dealt["some"], name).units} <= whole
        assert units(dealt["other"].test) == units(deal(other, seed, SIZES).test)


def test_too_few_clusters_and_sizes_are_refused():
    few = [Unit(str(c), str(c), ()) for c in range(7)]
    with pytest.raises(InputError, match="7 questions or templates are too few"):
        deal(Rows(few), 0, SIZES)
    with pytest.raises(InputError, match="dev 1"):
        Sizes(dev=1)


def test_shots_training_and_dev_are_of_their_own_parts(model):
    own = parts_of(0)
    e = experiment_of(model, "kind", own, 0, SIZES)
    prompts = {name: {x.prompt for x in part.examples} for name, part in vars(e.splits).items() if name != "notes"}
    of = {name: {EXAMPLES[int(i) - 1].prompt for i in units(part)} for name, part in vars(own).items()}
    assert prompts["train"] | prompts["shots"] <= of["train"]
    assert prompts["dev"] <= of["dev"]
    assert not set(e.splits.train.clusters) & set(e.splits.shots.clusters)
    assert len(e.splits.train) <= SIZES.train
    assert len(e.splits.dev) <= SIZES.dev


def test_the_same_seed_deals_the_same_and_names_the_same_steps(model, tmp_path):
    first, again, other = (
        experiment_of(model, "kind", parts_of(seed), seed, SIZES, home=tmp_path) for seed in (3, 3, 4)
    )
    assert first.splits == again.splits
    assert first.ledger.home == again.ledger.home != other.ledger.home


def test_shuffled_labels_exchange_some_answers_of_training_alone(model):
    own = parts_of(0)
    plain, swapped = (experiment_of(model, "kind", own, 0, SIZES, swap=swap) for swap in (None, 1))
    pairs = list(zip(plain.splits.train.examples, swapped.splits.train.examples, strict=True))
    turned = [a.positive == b.negative and a.negative == b.positive for a, b in pairs]
    assert sum(turned) == (len(turned) + 1) // 2
    assert all(a == b for (a, b), t in zip(pairs, turned, strict=True) if not t)
    assert plain.splits.dev == swapped.splits.dev
