"""Which steerings are searched: those that are given, or one fitted at every site and with every option."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.preparation import each_site
from trimtab.interventions import Edit, Place, Site, places
from trimtab.phrases import Phrase
from trimtab.results.figures import Told
from trimtab.steering import Steering
from trimtab.steering.edits import Gated, Stack
from trimtab.steering.edits.base import StoredEdit
from trimtab.steering.methods import Method, configured
from trimtab.storage.atomic import whole_folder
from trimtab.storage.keys import name_of
from trimtab.workflows.fit.materials import FitMaterials
from trimtab.workflows.fit.selection import grid

_NOTES = "notes.json"


@dataclass(frozen=True)
class Candidate:
    """A steering to be searched.

    Args:
        name: for tables.
        steering: with its default strengths.
    """

    name: str
    steering: Steering


def given(steerings: Sequence[Steering]) -> list[Candidate]:
    """Finished steerings as candidates.

    Raises:
        InputError: attributes that differ.
    """
    names = list(steerings[0].attributes)
    for steering in steerings:
        if sorted(steering.attributes) != sorted(names):
            raise InputError(
                f"steerings that are searched together have the same attributes; found {', '.join(names)} and "
                f"{', '.join(steering.attributes)}",
                code="conflicting-arguments",
                field="steering",
            )
    return distinct([Candidate(f"{s.method} at {_where(s)}", s) for s in steerings])


def distinct(found: Sequence[Candidate]) -> list[Candidate]:
    """The same with numbers behind names that repeat."""
    names = [c.name for c in found]
    return [c if names.count(c.name) == 1 else replace(c, name=f"{c.name} ({k})") for k, c in enumerate(found, 1)]


def fitted(
    experiments: Mapping[str, Experiment],
    method: str,
    options: Mapping[str, Any],
    site: Place | Sequence[Place] | None,
    home: Path | None,
    notes: list[Phrase],
) -> list[Candidate]:
    """One steering for every site and every combination of options, each kept when it is finished.

    Args:
        experiments: what the tasks teach, by attribute.
        method: see `trimtab.steering.methods`.
        options: hyperparameters; a list is one of values that are all searched.
        site: each one is a candidate; `10-18` stands for all these blocks; None or `auto` leaves it to the method.
        home: keeps them there.
        notes: is told what was chosen.

    Raises:
        InputError: an unknown method or option, a site that the model or the method does not have.
    """
    choices, found = grid(options), []
    model = next(iter(experiments.values())).model
    for choice in choices:
        maker = configured(method, choice)
        if maker.needs_condition:
            raise InputError(
                f"method {method} acts on prompts that meet a condition; fit it, and tune the steering",
                code="unsupported",
                field="method",
            )
        if maker.routes:
            raise InputError(
                f"method {method} chooses between one and several directions itself; fit it, and tune the steering",
                code="unsupported",
                field="method",
            )
        sites = _sites(maker, places(site))
        every: Sequence[Site | None] = [None] if sites is None else each_site(model, sites)
        for place in every:
            made = _kept(home, _key(experiments, maker, place), _learning(maker, experiments, place), notes)
            found += [Candidate(_title(maker, s, choice, len(choices) > 1), s) for s in made]
    return found


def with_gates(steering: Steering, shift: Mapping[str, float]) -> Steering:
    """The steering with gates that open wider or less.

    Args:
        steering: with gated edits.
        shift: by attribute, what is added to the log-odds that its gate opens.

    Raises:
        InputError: it has no gates.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.steering.edits import Gated
        >>> from trimtab.workflows.tune.candidates import with_gates
        >>> gated = Gated(torch.ones(1, 576), torch.zeros(1, 576), torch.zeros(1))
        >>> with_gates(tt.Steering({14: gated}, {"kind": 1.0}), {"kind": 2.0}).edits[tt.Site(14)].bias.tolist()
        [2.0]
    """
    if not any(shift.values()):
        return steering
    by_column = [shift[name] for name in steering.attributes]
    edits = {site: _shifted(edit, by_column) for site, edit in steering.edits.items()}
    if all(edits[site] is edit for site, edit in steering.edits.items()):
        raise InputError(
            f"a steering of method {steering.method} has no gates to search; leave the gates out",
            code="unsupported",
            field="gates",
        )
    return steering.changed(edits=edits)


def _shifted(edit: Edit, shift: Sequence[float]) -> Edit:
    if isinstance(edit, Stack):
        parts = tuple((_part(part, [shift[c] for c in columns]), columns) for part, columns in edit.parts)
        return edit if all(a is b for (a, _), (b, _) in zip(parts, edit.parts, strict=True)) else Stack(parts)
    return _part(edit, shift) if isinstance(edit, StoredEdit) else edit


def _part(edit: StoredEdit, shift: Sequence[float]) -> StoredEdit:
    return replace(edit, bias=edit.bias + edit.bias.new_tensor(shift)) if isinstance(edit, Gated) else edit


def _sites(maker: Method, sites: Sequence[Place] | None) -> Sequence[Place] | None:
    """The sites that were given; None where the method chooses."""
    if sites is None or list(sites) == ["auto"]:
        return None
    if any(isinstance(site, str) and site.strip() == "auto" for site in sites):
        raise InputError(
            "site auto leaves the site to the method, so it must be the only one; give it without other sites",
            code="conflicting-arguments",
            field="site",
        )
    if maker.material == "text":
        raise InputError(
            f"method {maker.name} puts text in front of prompts; leave out the sites",
            code="conflicting-arguments",
            field="site",
        )
    return sites


def _key(experiments: Mapping[str, Experiment], maker: Method, place: Site | None) -> str:
    parts = [str(on.ledger.home) for on in experiments.values()]
    return name_of(maker.name, maker.hyperparameters, str(place), parts)


def _learning(
    maker: Method, experiments: Mapping[str, Experiment], place: Site | None
) -> Callable[[list[Phrase]], list[Steering]]:
    def learn(notes: list[Phrase]) -> list[Steering]:
        materials = FitMaterials(experiments, None if place is None else [place], notes)
        return [own.steering for own in maker.learn(materials)]

    return learn


class _Notes(Told):
    """What was chosen while something was learned."""

    notes: tuple[Phrase, ...]


def _kept(
    home: Path | None, name: str, learn: Callable[[list[Phrase]], list[Steering]], notes: list[Phrase]
) -> list[Steering]:
    """What was learned, with its notes: read if it was finished before."""
    own: list[Phrase] = []
    if home is None:
        made = learn(own)
        notes += own
        return made
    folder = home / f"learned-{name}"
    if not folder.is_dir():
        made = learn(own)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder) as new:
            for k, steering in enumerate(made):
                steering.save(new / str(k))
            (new / _NOTES).write_text(_Notes(notes=tuple(own)).model_dump_json(), encoding="utf-8")
    notes += _Notes.model_validate_json((folder / _NOTES).read_text(encoding="utf-8")).notes
    return [Steering.load(each) for each in sorted(folder.iterdir(), key=lambda f: f.name) if each.is_dir()]


def _title(maker: Method, steering: Steering, choice: Mapping[str, Any], several: bool) -> str:
    how = ", ".join(f"{name} {value}" for name, value in choice.items()) if several else ""
    return f"{maker.name} at {_where(steering)}" + (f", {how}" if how else "")


def _where(steering: Steering) -> str:
    return ", ".join(map(str, sorted(steering.edits))) or "the prompt"
