"""Checks that an edit fits its steering, and the model that the steering was made for."""

from trimtab.errors import InputError
from trimtab.interventions import Edit, ModelFacts, Site
from trimtab.steering.edits.base import StoredEdit
from trimtab.steering.edits.stack import Stack
from trimtab.steering.parts import check_site


def check_fits_site(site: Site, edit: Edit, n: int, made_for: ModelFacts | None) -> None:
    """Check that an edit takes the steering's strengths, and is as wide as the model it was made for.

    Args:
        site: where it acts.
        edit: what it does.
        n: number of attributes of the steering.
        made_for: the model, if it is known.

    Raises:
        InputError: it does not, or is not an edit.
    """
    if not callable(edit):
        raise InputError(
            f"site {site}: a {type(edit).__name__} is not an edit; for a vector use Steering.from_vector",
            code="wrong-type",
            field=f"edits.{site}",
        )
    check_site(site, made_for)
    if isinstance(edit, StoredEdit) and edit.n_attributes != n:
        raise InputError(
            f"the edit at site {site} takes {edit.n_attributes} strengths, and there are {n} attributes",
            code="wrong-shape",
            field=f"edits.{site}",
        )
    if isinstance(edit, Stack) and max(column for _, columns in edit.parts for column in columns) >= n:
        raise InputError(
            f"the edits at site {site} take more strengths than there are attributes ({n})",
            code="wrong-shape",
            field=f"edits.{site}",
        )
    if made_for is not None and isinstance(edit, StoredEdit | Stack) and edit.width != made_for.d_model:
        raise InputError(
            f"site {site}: {edit.width} wide; {made_for.id} is {made_for.d_model} wide",
            code="wrong-shape",
            field=f"edits.{site}",
        )
