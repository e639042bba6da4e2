"""The only place that joins the rooms: behaviors, models, steering and reliability become a report."""

from trimtab.workflows.check import check as check
from trimtab.workflows.fit import fit as fit
from trimtab.workflows.predict import predict as predict
