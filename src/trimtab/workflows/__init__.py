"""What joins the rooms: one folder a verb."""

from trimtab.workflows.check import check as check
from trimtab.workflows.fit import fit as fit
from trimtab.workflows.predict import predict as predict
