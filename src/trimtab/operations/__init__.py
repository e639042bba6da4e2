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
from trimtab.operations.releases import Arm as Arm
from trimtab.operations.releases import Assignment as Assignment
from trimtab.operations.releases import ConflictError as ConflictError
from trimtab.operations.releases import Definition as Definition
from trimtab.operations.releases import Evidence as Evidence
from trimtab.operations.releases import OffSwitch as OffSwitch
from trimtab.operations.releases import Release as Release
from trimtab.operations.releases import Releases as Releases
from trimtab.operations.releases import ReleaseView as ReleaseView
from trimtab.operations.releases import Step as Step
from trimtab.operations.releases import arm_of as arm_of
from trimtab.operations.store import Store as Store
from trimtab.operations.store import migrate as migrate
