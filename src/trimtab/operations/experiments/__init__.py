"""WHAT IT CAME TO: releases as experiments, guardrails that act, and who watches them."""

from trimtab.operations.experiments.experiment import Experiment as Experiment
from trimtab.operations.experiments.findings import Decision as Decision
from trimtab.operations.experiments.findings import Finding as Finding
from trimtab.operations.experiments.findings import Look as Look
from trimtab.operations.experiments.findings import SampleRatio as SampleRatio
from trimtab.operations.experiments.over_time import OverTime as OverTime
from trimtab.operations.experiments.over_time import Point as Point
from trimtab.operations.experiments.watch import Watch as Watch
from trimtab.operations.experiments.watch import Watched as Watched
