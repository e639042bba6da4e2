"""RUN IT: releases, who got what, and who changed what; no torch."""

from trimtab.operations.audit import Change as Change
from trimtab.operations.audit import Checkpoint as Checkpoint
from trimtab.operations.audit import Entry as Entry
from trimtab.operations.audit import Signer as Signer
from trimtab.operations.audit import Verification as Verification
from trimtab.operations.audit import Verifier as Verifier
from trimtab.operations.audit import entries as entries
from trimtab.operations.audit import publish as publish
from trimtab.operations.audit import published as published
from trimtab.operations.audit import record as record
from trimtab.operations.audit import verify as verify
from trimtab.operations.store import Store as Store
from trimtab.operations.store import migrate as migrate
