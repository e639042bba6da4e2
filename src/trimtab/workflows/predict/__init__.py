"""Before any steering: what the geometry of behaviors says about steering them."""

from trimtab.workflows.predict.predict import predict as predict
