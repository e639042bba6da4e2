"""RUN IT: releases, who got what, and who changed what; no torch."""

from trimtab.operations.store import Store as Store
from trimtab.operations.store import migrate as migrate
