"""Before anything is measured: where to steer, and which examples are used for what."""

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
import transformers

from trimtab.behaviors import Behavior, PromptType, Splits, deduplicate, split
from trimtab.behaviors.duplicates import aligned
from trimtab.behaviors.splits import drawn
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import SIDES, Instrument
from trimtab.experiment.numbers import is_whole
from trimtab.experiment.progress import Progress
from trimtab.interventions import Place, Site
from trimtab.models import Model
from trimtab.models.text import Encoded
from trimtab.phrases import Phrase, untranslated
from trimtab.statistics.power import largest_passing, passing_chance, rows_needed
from trimtab.storage.steps import Ledger
from trimtab.version import __version__

AUTO = "auto"  # a site that is chosen
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})")


def where(model: Model, site: Site | int | str | None) -> tuple[Site | None, tuple[int, int] | None]:
    """The given site, or the range of blocks to choose one from.

    Raises:
        InputError: no site, or one that the model does not have.
    """
    if site is None or (isinstance(site, str) and site.strip() == AUTO):
        return None, None
    spread = _RANGE.fullmatch(site.strip()) if isinstance(site, str) else None
    if spread is None:
        parsed = Site.of(site)
        model.anatomy.module(parsed)
        return parsed, None
    first, last = int(spread.group(1)), int(spread.group(2))
    if not first <= last < model.n_blocks:
        raise InputError(
            f"site {site}: the model has blocks 0 to {model.n_blocks - 1}", code="no-such-site", field="site"
        )
    return None, (first, last)


def each_site(model: Model, sites: Sequence[Place] | Place | None) -> list[Site]:
    """Sites of a measurement that chooses none: a range stands for the residual of each of its blocks.

    Args:
        model: that has them.
        sites: one or several, such as 14, `attention:14` or `10-18`; None and `auto` for the middle of the model.

    Raises:
        InputError: no site, or one that the model does not have.
    """
    chosen: list[Site] = []
    for site in [sites] if sites is None or isinstance(sites, (str, int, Site)) else sites:
        asked = None if isinstance(site, str) and site.strip() == AUTO else site
        one, blocks = where(model, asked)
        chosen += [one] if one else [Site(k) for k in range(blocks[0], blocks[1] + 1)] if blocks else [middle(model)]
    return list(dict.fromkeys(chosen))


def where_all(model: Model, sites: Sequence[Place] | None) -> tuple[Sequence[Place] | None, tuple[int, int] | None]:
    """The given sites, or the range of blocks to choose from: `where` for several, with `auto` for none.

    Raises:
        InputError: no site, an empty list, a range or `auto` beside other sites, blocks that the model does not have.
    """
    if sites is None or isinstance(sites, str):
        return sites, None
    if not list(sites):
        raise InputError(
            "site: an empty list; give at least one, or leave it out to have it chosen",
            code="missing-value",
            field="site",
        )
    open_ = [s for s in sites if isinstance(s, str) and (s.strip() == AUTO or _RANGE.fullmatch(s.strip()))]
    if not open_:
        return sites, None
    if len(sites) > 1:
        raise InputError(
            f"site {open_[0]} leaves the block to be chosen, so it must be the only one; give it without other sites",
            code="conflicting-arguments",
            field="site",
        )
    return None, where(model, None if open_[0].strip() == AUTO else open_[0])[1]


def prepare(
    instrument: Instrument, train: int | None, evaluation: int | None, seed: int, replication: bool = False
) -> tuple[Instrument, Splits, int, list[Phrase]]:
    """Without duplicates and rows that cannot be scored, in disjoint parts.

    Returns:
        the instrument on the rows that are left, the parts, the number of rows dropped, and notes.

    Raises:
        InputError: sizes or a seed that are not whole numbers, no usable rows, or too few for the sizes.
    """
    for name, value in {"train": train, "evaluation": evaluation, "seed": seed}.items():
        if not is_whole(value) and (value is not None or name == "seed"):
            raise InputError(f"{name} {value!r} must be a whole number", code="wrong-type", field=name)
    if seed < 0:
        raise InputError(f"seed {seed} must not be negative", code="out-of-range", field="seed")
    behavior, repeated = deduplicate(instrument.behavior)
    some = drawn(behavior, seed)
    notes = [untranslated(note) for note in (*instrument.behavior.notes, *some.notes[len(behavior.notes) :])]
    behavior = some
    if repeated:
        notes.append(Phrase("{n} duplicate rows or texts left out", n=repeated))
    keep = replace(instrument, behavior=behavior).scorable(behavior.examples)
    left = [e for e, ok in zip(behavior.examples, keep, strict=True) if ok]
    short = len(keep) - len(left)
    if not left:
        raise InputError(
            f"behavior {behavior.name!r}: no row leaves answer tokens to score; the texts are too short",
            code="unusable-examples",
            field="behavior",
        )
    check_sides_differ(*replace(instrument, behavior=behavior).bare(left), f"behavior {behavior.name!r}")
    if behavior.instructions_derived:
        instructions = " / ".join(behavior.instruction(side) for side in SIDES)
        notes.append(
            Phrase(
                "instructions were derived from the name: {instructions}; write better ones if these do not fit",
                instructions=instructions,
            )
        )
    notes += replace(instrument, behavior=behavior).notes(left)
    if short:
        notes.append(
            Phrase("{n} rows left out: too short to score, or their two answers have the same tokens", n=short)
        )
    behavior = aligned(replace(behavior, examples=left))
    splits = split(behavior, train=train, evaluation=evaluation, replication=replication, seed=seed)
    notes += [*splits.notes, *_about_clusters(splits)]
    return replace(instrument, behavior=behavior), splits, repeated + short, notes


def _about_clusters(splits: Splits) -> list[Phrase]:
    """A note that rows which nearly repeat each other count once."""
    rows = sum(len(part) for part in splits.parts)
    n = len({cluster for part in splits.parts for cluster in part.clusters})
    if n == rows:
        return []
    return [
        Phrase(
            "the {rows} examples are {n} independent questions: rows of one prompt or group, and rows "
            "that nearly repeat each other, are kept in one part and count once",
            rows=rows,
            n=n,
        )
    ]


def decidable(splits: Splits, max_anti_steerable: float) -> Phrase:
    """What can be decided with the evaluation examples, before anything is measured."""
    n = len(set(splits.eval.clusters))
    max_count = largest_passing(n, max_anti_steerable)
    if max_count is None:
        need = rows_needed(max_anti_steerable, max_anti_steerable / 2)
        return Phrase(
            "{n} independent evaluation examples cannot show that less than {bound} are "
            "pushed the wrong way: the verdict cannot be go (about {need} could)",
            n=n,
            bound=f"{max_anti_steerable:.0%}",
            need=f"{need}",
        )
    fair = 0.72 * max_anti_steerable
    need = rows_needed(max_anti_steerable, fair)
    found = Phrase(
        "with {n} independent evaluation examples at most {most} may be seen pushed the wrong way for the bound of "
        "{bound}: a behavior whose true share is {fair} passes with a chance of {chance}",
        n=n,
        most=f"{max_count / n:.0%}",
        bound=f"{max_anti_steerable:.0%}",
        fair=f"{fair:.0%}",
        chance=f"{passing_chance(n, max_anti_steerable, fair):.0%}",
    )
    if need is None or need <= n:
        return found
    return Phrase("{found}; {need} examples would let it pass with 80 %", found=found, need=need)


def check_sides_differ(positive: Sequence[Encoded], negative: Sequence[Encoded], what: str) -> None:
    """Check that two sides differ: all that could be fitted to the same tokens is rounding noise.

    Args:
        positive: rows of one side.
        negative: of the other; the order does not matter.
        what: begins the message.

    Raises:
        InputError: they are the same.
    """
    if sorted(row.ids for row in positive) == sorted(row.ids for row in negative):
        raise InputError(
            Phrase(
                "{what}: the positive and the negative side are the same texts, so there is nothing to steer toward; "
                "give examples whose sides differ",
                what=what,
            ),
            code="unusable-examples",
            field="behavior",
        )


def middle(model: Model) -> Site:
    """The residual in the middle of the model, for studies that choose nothing by results."""
    return Site(model.n_blocks // 2 - 1)


def key_of(model: Model, behavior: Behavior, *decides: object) -> str:
    """A key of all that decides figures besides the steps: model, data, machine, versions, and what is given here."""
    return json.dumps([behavior.name, behavior.digest, *circumstances(model), *decides], default=repr)


def circumstances(model: Model) -> list[object]:
    """What decides figures whatever they are of: model, machine and versions."""
    machine = [str(model.dtype), str(model.device), torch.get_num_threads(), platform.machine(), model.batch_tokens]
    return [model.digest, *machine, __version__, torch.__version__, transformers.__version__]


def ready(
    model: Model,
    behavior: Behavior,
    prompt_types: Sequence[str],
    *,
    train: int | None,
    evaluation: int | None,
    seed: int,
    ledger: Ledger,
    progress: Progress,
    chat_template: bool = False,
) -> tuple[Experiment, list[Phrase]]:
    """What measures a behavior as a check does by default, at strength 1, and notes; arguments as of `check`."""
    instrument = Instrument(model, behavior, chat_template, "last" if behavior.answer_kind == "choice" else "mean")
    instrument, splits, _, notes = prepare(instrument, train, evaluation, seed)
    return Experiment(instrument, splits, PromptType.named(prompt_types), 1.0, "all", seed, ledger, progress), notes
