"""Check a behavior: from contrast examples to a verdict on steering it, in one report."""

from trimtab.workflows.check.check import check as check
