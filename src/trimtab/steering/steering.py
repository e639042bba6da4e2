"""The artifact in memory: edits at sites, with named attributes and their origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Condition, Edit, ModelFacts, Place, Site
from trimtab.nearest import meant
from trimtab.notebook import summary
from trimtab.phrases import Phrase
from trimtab.steering.edits import Additive, Stack, StoredEdit
from trimtab.steering.edits.fit import check_fits_site
from trimtab.steering.parts import Conditions, check_prompts, checked_attributes, checked_conditions, checked_presets

Edits = Mapping[Site, Edit] | Mapping[int, Edit] | Mapping[str, Edit] | Mapping[Place, Edit]


@dataclass(frozen=True)
class Origin:
    """How a steering was made.

    Args:
        method: its name, such as `mean-difference`.
        hyperparameters: of the method; JSON values.
        seed: of its random choices; None if there are none.
        data: digest of the training data by attribute.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.steering import Origin
        >>> origin = Origin("by-hand", {"scale": 2.0})
        >>> tt.Steering.from_vector(14, torch.ones(576), "warm", origin=origin).method
        'by-hand'
    """

    method: str = "manual"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, init=False)
class Steering:
    """Edits at sites, with named attributes and their default strengths.

    Args:
        edits: one edit per site; every edit takes one strength per attribute, in the order of `attributes`. Sites may
            be given as `Site`, block or text (`attention:14`), and are stored as `Site`.
        attributes: default strength by name.
        origin: how it was made.
        presets: strengths by attribute, under names such as `gentle`; attributes left out keep their default.
        made_for: the model whose activations it was made from. Models with other weights reject it.
        allow_mismatch: let other weights of the same shapes be steered.
        conditions: by attribute, a condition that a prompt must meet for it to act, or several, all of which it must
            meet; kept as tuples. Attributes left out always act.
        prompts: by attribute, the texts in front of the prompt at strengths above and below 0, each ending with a space
            or blank line; the second may be empty.

    Raises:
        InputError: a key that is not a site, two keys for one site, invalid names or strengths, an edit that takes
            another number of strengths or has another width than the model.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> from trimtab.steering import Additive
        >>> steering = tt.Steering({14: Additive(torch.ones(1, 576))}, {"warm": 2.0})
        >>> folder = steering.save("warm")
        >>> tt.Steering.load(folder).attributes
        {'warm': 2.0}
    """

    edits: Mapping[Site, Edit]
    attributes: Mapping[str, float]
    origin: Origin = Origin()
    presets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    made_for: ModelFacts | None = None
    allow_mismatch: bool = False
    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    prompts: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __init__(
        self,
        edits: Edits,
        attributes: Mapping[str, float],
        origin: Origin | None = None,
        presets: Mapping[str, Mapping[str, float]] | None = None,
        made_for: ModelFacts | None = None,
        allow_mismatch: bool = False,
        conditions: Mapping[str, Conditions] | None = None,
        prompts: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        by_site = {Site.of(place): edit for place, edit in edits.items()}
        if len(by_site) < len(edits):
            raise InputError(
                f"two edits for one site among {', '.join(map(str, edits))}; give one edit per site",
                code="conflicting-arguments",
                field="edits",
            )
        strengths = checked_attributes(attributes)
        named_strengths = checked_presets(presets or {}, strengths)
        for site, edit in by_site.items():
            check_fits_site(site, edit, len(strengths), made_for)
        check_prompts(prompts or {}, strengths)
        object.__setattr__(self, "edits", by_site)
        object.__setattr__(self, "attributes", strengths)
        object.__setattr__(self, "origin", origin or Origin())
        object.__setattr__(self, "presets", named_strengths)
        object.__setattr__(self, "made_for", made_for)
        object.__setattr__(self, "allow_mismatch", allow_mismatch)
        object.__setattr__(self, "conditions", checked_conditions(conditions or {}, strengths, made_for))
        object.__setattr__(self, "prompts", {name: t for name in strengths if (t := (prompts or {}).get(name))})

    @staticmethod
    def from_vector(
        site: Place,
        vector: Tensor,
        name: str = "vector",
        *,
        origin: Origin | None = None,
        made_for: ModelFacts | None = None,
    ) -> "Steering":
        """A steering that adds one vector at one site.

        Args:
            site: where: a `Site`, a block such as 14, or text such as `attention:14`.
            vector: `[d_model]`, added unchanged at strength 1.
            name: the attribute's name.
            origin: how the vector was made.
            made_for: facts of the model that it was made for, `model.facts`.

        Raises:
            InputError: the vector is not one-dimensional, or not finite.
        """
        vector = torch.as_tensor(vector).detach()
        if vector.ndim != 1 or vector.is_complex():
            raise InputError(
                f"a steering vector is [d_model] of real numbers, not {list(vector.shape)} {vector.dtype}",
                code="wrong-shape",
                field="vector",
            )
        vector = vector.float()
        if not bool(torch.isfinite(vector).all()):
            raise InputError(
                "the steering vector holds a NaN, an infinite value or one beyond float32",
                code="not-finite",
                field="vector",
            )
        return Steering({Site.of(site): Additive(vector[None])}, {name: 1.0}, origin, made_for=made_for)

    @staticmethod
    def combined(steerings: "Sequence[Steering]") -> "Steering":
        """All attributes of several steerings in one; edits at one site act in the order given.

        Raises:
            InputError: two attributes of one name (see `renamed`), or steerings for different models.
        """
        from trimtab.steering.arithmetic import combined

        return combined(steerings)

    def __add__(self, other: "Steering") -> "Steering":
        """The sum of vectors, each at its default strength; see `trimtab.steering.arithmetic`."""
        from trimtab.steering.arithmetic import summed

        return summed(self, other, 1.0)

    def __sub__(self, other: "Steering") -> "Steering":
        """The difference of vectors, each at its default strength."""
        from trimtab.steering.arithmetic import summed

        return summed(self, other, -1.0)

    def __mul__(self, factor: float) -> "Steering":
        """The same steering with vectors `factor` times as long."""
        from trimtab.steering.arithmetic import times

        return times(self, factor)

    __rmul__ = __mul__

    def __neg__(self) -> "Steering":
        """The same steering with reversed vectors."""
        return self * -1.0

    @property
    def method(self) -> str:
        """The name of the method that made it."""
        return self.origin.method

    def vector(self, site: Place) -> Tensor:
        """The vector that strength 1 of every attribute adds at a site, `[d_model]`; for additive steerings.

        Raises:
            InputError: no edit there, an edit that adds no vector, or not a site.
        """
        edit = self.edits.get(Site.of(site))
        if not isinstance(edit, Additive):
            raise InputError(
                f"this steering adds no vector at site {site}; it edits {', '.join(map(str, self.edits))}",
                code="no-such-site",
                field="site",
            )
        return edit.vectors.sum(dim=0)

    @property
    def kinds(self) -> dict[Site, tuple[str, ...]]:
        """Kinds of the edits by site, in their order; the class name for an edit of a custom class."""
        return {
            site: tuple(part.kind for part, _ in edit.parts) if isinstance(edit, Stack) else (_kind(edit),)
            for site, edit in sorted(self.edits.items())
        }

    def scaled(self, factor: float) -> dict[str, float]:
        """Default strengths times a factor, by attribute."""
        return {name: default * factor for name, default in self.attributes.items()}

    @property
    def id(self) -> str:
        """SHA-256 of everything that determines what it does: sites, edits, attributes, model, origin and tensors.

        Raises:
            InputError: an edit of a custom class, which has no stored form.
        """
        from trimtab.steering.stored import identity

        return identity(self)

    def save(self, folder: str | Path, reliability: Mapping[str, Any] | None = None) -> Path:
        """Write the artifact (docs/format.md) atomically, replacing an older one.

        Args:
            folder: created if it does not exist.
            reliability: a JSON document that is stored with it, such as verdicts by attribute.

        Returns:
            The folder.

        Raises:
            InputError: the folder holds other files or cannot be written; an edit of a custom class.
        """
        from trimtab.steering.stored import save

        return save(self, Path(folder), reliability)

    @staticmethod
    def load(folder: str | Path, *, allow_mismatch: bool = False) -> "Steering":
        """Read an artifact and verify every digest; nothing in it is ever executed.

        Args:
            folder: the folder that `save` wrote.
            allow_mismatch: let it steer models with other weights of the same shapes.

        Raises:
            InputError: not an artifact, one of a later format, a file that was changed, or inconsistent parts.
        """
        from trimtab.steering.stored import load

        steering, _ = load(Path(folder))
        return steering.changed(allow_mismatch=allow_mismatch)

    def changed(self, **changes: Any) -> Self:
        """A copy with other `attributes` (default strengths of some of them), `edits`, `presets`, `conditions`,
        `prompts`, `origin`, `made_for` or `allow_mismatch`.

        Raises:
            InputError: an attribute that it does not have.
        """
        if "attributes" in changes:
            unknown = sorted(set(changes["attributes"]) - set(self.attributes))
            if unknown:
                raise InputError(
                    f"unknown attribute {unknown[0]!r}; {meant(unknown[0], self.attributes)}"
                    f"this steering has {', '.join(self.attributes)}",
                    code="unknown-attribute",
                    field="names",
                )
            changes["attributes"] = {**self.attributes, **changes["attributes"]}
        return self._with(**changes)

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {
            Phrase("method"): self.origin.method,
            Phrase("made for"): self.made_for.id if self.made_for else "",
            Phrase("sites"): ", ".join(map(str, sorted(self.edits))),
            Phrase("presets"): ", ".join(self.presets),
        }
        rows = [
            (name, strength, Phrase("where its conditions hold") if name in self.conditions else Phrase("always"))
            for name, strength in self.attributes.items()
        ]
        columns = (Phrase("attribute"), Phrase("default strength"), Phrase("acts"))
        return summary(Phrase("steering"), facts, columns, rows, n_rows=len(rows))

    @property
    def is_odd(self) -> bool:
        """Whether a negative strength does the opposite of a positive one, as it does for vectors."""
        parts = [isinstance(edit, StoredEdit | Stack) and edit.is_odd for edit in self.edits.values()]
        return all(parts) and all(opposite for _, opposite in self.prompts.values())

    def randomised(self, seed: int) -> Self:
        """The same edits along random directions, with the same lengths and angles: a baseline for chance.

        Raises:
            InputError: an edit of a custom class, or no edit at all.
        """
        if not self.edits:
            raise InputError(
                "the steering is text in front of prompts and has no directions to randomise",
                code="unsupported",
                field="steering",
            )
        own = [site for site, edit in self.edits.items() if not isinstance(edit, StoredEdit | Stack)]
        if own:
            raise InputError(
                f"the edit at site {own[0]} is of a custom class, without directions to randomise",
                code="unsupported",
                field="steering",
            )
        by_site = sorted(self.edits.items())
        return self._with(edits={site: edit.randomised(seed * 1009 + i) for i, (site, edit) in enumerate(by_site)})  # type: ignore[attr-defined]

    def renamed(self, names: Mapping[str, str]) -> Self:
        """A copy whose attributes have other names, `{old: new}`.

        Raises:
            InputError: a name that it does not have, or two attributes with the same new name.
        """
        unknown = sorted(set(names) - set(self.attributes))
        if unknown:
            raise InputError(
                f"unknown attribute {unknown[0]!r}; {meant(unknown[0], self.attributes)}"
                f"this steering has {', '.join(self.attributes)}",
                code="unknown-attribute",
                field="names",
            )
        new = [names.get(name, name) for name in self.attributes]
        if len(set(new)) < len(new):
            raise InputError(
                f"two attributes would be called {max(new, key=new.count)!r}", code="repeated-name", field="names"
            )

        def put(values: Mapping[str, Any]) -> dict[str, Any]:
            return {names.get(name, name): value for name, value in values.items()}

        origin = replace(self.origin, data=put(self.origin.data))
        presets = {preset: put(values) for preset, values in self.presets.items()}
        return self._with(
            attributes=put(self.attributes), origin=origin, presets=presets, conditions=put(self.conditions),
            prompts=put(self.prompts),
        )  # fmt: skip

    def _with(self, **changes: Any) -> Self:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self)(**{**fields, **changes})


def _kind(edit: Edit) -> str:
    return edit.kind if isinstance(edit, StoredEdit) else type(edit).__name__
