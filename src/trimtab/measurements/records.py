"""Records of models and steerings."""

from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.results.report import ModelRecord, SteeringRecord
from trimtab.steering import Steering


def model_record(model: Model) -> ModelRecord:
    """The record of a model."""
    return ModelRecord(
        id=model.id, revision=model.revision, digest=model.digest, architecture=type(model.hf).__name__,
        n_blocks=model.n_blocks, d_model=model.d_model,
    )  # fmt: skip


def steering_record(steering: Steering, data_digest: str) -> SteeringRecord:
    """The record of a given steering, and whether it was trained on the data of this digest."""
    try:
        identity = steering.id
    except InputError:  # edits of one's own class have no stored form
        identity = None
    data = steering.origin.data
    return SteeringRecord(
        id=identity, method=steering.method, attributes=dict(steering.attributes),
        edits={str(site): kinds for site, kinds in steering.kinds.items()},
        trained_on_this=data_digest in data.values() if data else None,
    )  # fmt: skip
