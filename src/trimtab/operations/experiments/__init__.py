"""WHAT IT CAME TO: releases as experiments, guardrails that act, and who watches them."""

from trimtab.operations.experiments.experiment import Experiment as Experiment
from trimtab.operations.experiments.findings import Decision as Decision
from trimtab.operations.experiments.findings import Effect as Effect
from trimtab.operations.experiments.findings import Finding as Finding
from trimtab.operations.experiments.findings import Look as Look
from trimtab.operations.experiments.findings import SampleRatio as SampleRatio
from trimtab.operations.experiments.findings import Standing as Standing
from trimtab.operations.experiments.over_time import ArmPoint as ArmPoint
from trimtab.operations.experiments.over_time import OverTime as OverTime
from trimtab.operations.experiments.over_time import Point as Point
from trimtab.operations.experiments.policies import PolicyEstimate as PolicyEstimate
from trimtab.operations.experiments.policies import PolicyValue as PolicyValue
from trimtab.operations.experiments.policies import policy_value as policy_value
from trimtab.operations.experiments.several import experiment_of as experiment_of
from trimtab.operations.experiments.watch import Watch as Watch
from trimtab.operations.experiments.watch import Watched as Watched
