"""Sites as `capture` takes them and answers by them."""

import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site


def test_capture_takes_blocks_and_texts_and_answers_by_site(model):
    captured = model.capture(["The sky"], [1, "mlp:2"])
    expected = model.capture(["The sky"], [Site(1), Site(2, "mlp")])
    assert list(captured.activations) == list(captured.norms) == [Site(1), Site(2, "mlp")]
    for site, values in expected.activations.items():
        assert torch.equal(captured.activations[site], values)
    with pytest.raises(InputError, match="give a list of sites"):
        model.capture(["The sky"], "1")
