"""WHO DID WHAT: every change of state, in a Merkle tree that shows if anything was changed afterwards."""

from trimtab.operations.audit.checkpoint import Checkpoint as Checkpoint
from trimtab.operations.audit.checkpoint import published as published
from trimtab.operations.audit.entries import Change as Change
from trimtab.operations.audit.entries import Entry as Entry
from trimtab.operations.audit.log import entries as entries
from trimtab.operations.audit.log import last_entries as last_entries
from trimtab.operations.audit.log import record as record
from trimtab.operations.audit.signing import Signer as Signer
from trimtab.operations.audit.signing import Verifier as Verifier
from trimtab.operations.audit.verification import Verification as Verification
from trimtab.operations.audit.verification import publish as publish
from trimtab.operations.audit.verification import verify as verify
