"""The best trade-offs between attributes: strengths, sites and gates searched on dev, measured on test."""

from trimtab.workflows.tune.samplers import SAMPLERS as SAMPLERS
from trimtab.workflows.tune.tune import Tuned as Tuned
from trimtab.workflows.tune.tune import tune as tune
