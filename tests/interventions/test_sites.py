"""What is taken for a site."""

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.interventions import Site


@pytest.mark.parametrize(
    ("value", "site"),
    [
        (14, Site(14)),
        (np.int64(3), Site(3)),
        ("14", Site(14)),
        ("attention:14", Site(14, "attention")),
        (Site(2, "mlp"), Site(2, "mlp")),
    ],
)
def test_a_block_a_text_and_a_site_are_sites(value, site):
    assert Site.of(value) == site


@pytest.mark.parametrize("value", [True, 14.0, None, "attn:3", "", -1, (1, "mlp"), [14]])
def test_anything_else_is_no_site(value):
    with pytest.raises(InputError):
        Site.of(value)


@pytest.mark.parametrize("block", [1.5, 1.0, "1", None, True, [1]])
def test_a_block_is_a_whole_number(block):
    with pytest.raises(InputError, match="not a whole number"):
        Site(block)


def test_a_block_of_numpy_is_kept_as_an_int():
    assert type(Site(np.int64(3)).block) is int


@pytest.mark.parametrize("values", [14, "14", Site(14), None])
def test_one_site_in_place_of_a_list_is_refused(values):
    with pytest.raises(InputError, match="give a list of sites"):
        Site.several(values)
