"""What joins the rooms: one folder a verb."""

from trimtab.workflows.advise import advise as advise
from trimtab.workflows.check import check as check
from trimtab.workflows.draft import draft as draft
from trimtab.workflows.evaluate import evaluate as evaluate
from trimtab.workflows.fit import fit as fit
from trimtab.workflows.generate import generate as generate
from trimtab.workflows.predict import predict as predict
from trimtab.workflows.study import study as study
from trimtab.workflows.tune import tune as tune
from trimtab.workflows.vector import vector as vector
