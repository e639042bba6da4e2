"""WHAT COUNTS: the definitions of metrics, built in and from a file, versioned."""

from trimtab.operations.metrics.file import read_metrics as read_metrics
from trimtab.operations.metrics.kept import known_metrics as known_metrics
from trimtab.operations.metrics.metric import Metric as Metric
