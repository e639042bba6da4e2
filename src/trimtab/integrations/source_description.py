"""What the caller says beside another tool's file, and what the file says itself: agreeing, or refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.steering import Origin


@dataclass(frozen=True)
class SourceDescription:
    """What the caller says.

    Args:
        file: that is read.
        names: of the attributes.
        site: where a vector belongs that does not say so; of several, the one to take.
        convention: what numbers of layers mean, see `layer_names`.
        hint: what the file calls the model's architecture, as llama.cpp does.
    """

    file: Path
    names: tuple[str, ...] = ()
    site: Site | None = None
    convention: str | None = None
    hint: str | None = None

    @property
    def name(self) -> str:
        """Of the one attribute."""
        if len(self.names) > 1:
            raise InputError(
                f"{self.file} holds one attribute, not {len(self.names)}; give one name",
                code="out-of-range",
                field="name",
            )
        return self.names[0] if self.names else "vector"

    def needs_site(self, what: str) -> Site:
        """Where something belongs that has no number."""
        self.needs_no_convention(f"{what} has no numbers")
        if self.site is None:
            raise InputError(
                f"{self.file} holds {what} and does not say where it belongs; give a site, such as 14",
                code="missing-value",
                field="site",
            )
        return self.site

    def needs_no_convention(self, why: str) -> None:
        """Refuse a convention where there is nothing that it could decide."""
        if self.convention is not None:
            raise InputError(
                f"{self.file}: a convention means nothing here: {why}", code="conflicting-arguments", field="convention"
            )

    def taken(self, vectors: Mapping[Site, Tensor]) -> dict[Site, Tensor]:
        """The vectors of a file that says where they belong; the one at the caller's site, if one is given.

        Raises:
            InputError: the file holds none for that site.
        """
        if self.site is None:
            return dict(vectors)
        if self.site not in vectors:
            raise InputError(
                f"{self.file} is for {_listed(vectors)}, not for the site {self.site} that was given; give one of "
                "these, or none",
                code="no-such-site",
                field="site",
            )
        return {self.site: vectors[self.site]}

    def origin(self, method: str, **more: str) -> Origin:
        """Of the steering that is read."""
        hint = {} if self.hint is None else {"model_hint": self.hint}
        return Origin(method, {"file": self.file.name, **more, **hint})


def _listed(vectors: Mapping[Site, Tensor]) -> str:
    """Sites, of many the first and the last."""
    names = list(map(str, sorted(vectors)))
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:3])} … {names[-1]}, {len(names)} sites"
