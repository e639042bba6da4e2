"""From contrast examples to a steering."""

from trimtab.workflows.fit.fit import fit as fit
