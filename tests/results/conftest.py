"""Fixtures of the reports, for what is read of them."""

from tests.reports.conftest import any_report as any_report
from tests.reports.conftest import report as report
from tests.reports.conftest import variant as variant
