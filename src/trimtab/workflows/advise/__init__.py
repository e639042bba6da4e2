"""What else would work where one vector does not hold."""

from trimtab.workflows.advise.advise import advise as advise
