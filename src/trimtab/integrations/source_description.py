"""What the caller states about another tool's file, checked against what the file itself says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.steering import Origin


@dataclass(frozen=True)
class SourceDescription:
    """What the caller states about a file.

    Args:
        file: the file to read.
        names: of the attributes.
        site: where a vector without a layer belongs; of several vectors, the one to take.
        convention: what layer numbers mean, see `layer_names`.
        hint: the file's name for the model's architecture, as llama.cpp has it.
    """

    file: Path
    names: tuple[str, ...] = ()
    site: Site | None = None
    convention: str | None = None
    hint: str | None = None

    @property
    def name(self) -> str:
        """Name of the only attribute."""
        if len(self.names) > 1:
            raise InputError(
                f"{self.file} holds one attribute, not {len(self.names)}; give one name",
                code="out-of-range",
                field="name",
            )
        return self.names[0] if self.names else "vector"

    def needs_site(self, what: str) -> Site:
        """The site of something that has no layer number."""
        self.needs_no_convention(f"{what} has no numbers")
        if self.site is None:
            raise InputError(
                f"{self.file} holds {what} and does not say where it belongs; give a site, such as 14",
                code="missing-value",
                field="site",
            )
        return self.site

    def needs_no_convention(self, why: str) -> None:
        """Reject a convention if there is nothing for it to decide."""
        if self.convention is not None:
            raise InputError(
                f"{self.file}: a convention means nothing here: {why}", code="conflicting-arguments", field="convention"
            )

    def taken(self, vectors: Mapping[Site, Tensor]) -> dict[Site, Tensor]:
        """All vectors of a file, or only the one at the caller's site if that is given.

        Raises:
            InputError: the file holds no vector for that site.
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
        """Origin of the steering that is read."""
        hint = {} if self.hint is None else {"model_hint": self.hint}
        return Origin(method, {"file": self.file.name, **more, **hint})


def _listed(vectors: Mapping[Site, Tensor]) -> str:
    """The sites; of many, the first few and the last."""
    names = list(map(str, sorted(vectors)))
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:3])} … {names[-1]}, {len(names)} sites"
