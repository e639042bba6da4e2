"""A condition holds its direction in an array of its own, whatever it was given."""

import numpy as np
import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Condition, Site

VALUES = [0.5, -2.0, 3.0]


@pytest.mark.parametrize(
    "direction",
    [
        VALUES,
        tuple(VALUES),
        np.array(VALUES),
        np.array(VALUES, np.float16),
        torch.tensor(VALUES),
        torch.tensor(VALUES, dtype=torch.bfloat16),
        torch.tensor(VALUES, dtype=torch.float64, requires_grad=True),
    ],
)
def test_directions_of_every_kind_become_float32(direction: object) -> None:
    condition = Condition("attention:2", direction, 1)  # type: ignore[arg-type]
    assert condition.direction.dtype == np.float32
    assert condition.direction.tolist() == VALUES
    assert condition.site == Site(2, "attention")
    assert type(condition.threshold) is float


def test_nobody_can_change_a_direction_afterwards() -> None:
    direction = np.ones(3, np.float32)
    condition = Condition(1, direction, 0.5)
    direction[:] = -1
    assert condition.direction.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        condition.direction[0] = 2.0


@pytest.mark.parametrize(
    "direction",
    [
        [], [[1.0]], [1.0, float("nan")], [float("inf")], [1e300], [0.0, 0.0], ["1", "2"], [[1.0], [1.0, 2.0]],
        np.array([1j]), np.array([None]), np.array(1.0), torch.tensor([1e300], dtype=torch.float64), object(),
    ],
)  # fmt: skip
def test_what_is_no_finite_vector_is_refused(direction: object) -> None:
    with pytest.raises(InputError, match="finite vector"):
        Condition(1, direction, 0.5)  # type: ignore[arg-type]
