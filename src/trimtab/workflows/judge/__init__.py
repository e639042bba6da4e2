"""Answers judged by a chat model: what it will cost, what it finds, and how far it agrees with people."""

from trimtab.workflows.judge.judge import Work as Work
from trimtab.workflows.judge.judge import judge as judge
