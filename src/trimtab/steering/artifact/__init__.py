"""The artifact on disk: a folder that is written atomically and read as untrusted input; without torch.

See docs/format.md.
"""

from trimtab.steering.artifact.contents import Artifact as Artifact
from trimtab.steering.artifact.contents import packed as packed
from trimtab.steering.artifact.contents import plain_reliability as plain_reliability
from trimtab.steering.artifact.contents import read as read
from trimtab.steering.artifact.contents import unpacked as unpacked
from trimtab.steering.artifact.exchange import check_artifact_folder as check_artifact_folder
from trimtab.steering.artifact.exchange import write as write
from trimtab.steering.artifact.folder import CARD as CARD
from trimtab.steering.artifact.folder import MANIFEST as MANIFEST
from trimtab.steering.artifact.folder import MAX_BYTES as MAX_BYTES
from trimtab.steering.artifact.folder import REPORT as REPORT
from trimtab.steering.artifact.folder import STEERING as STEERING
from trimtab.steering.artifact.folder import TENSORS as TENSORS
from trimtab.steering.artifact.identity import identity as identity
from trimtab.steering.artifact.manifest import AttributeEntry as AttributeEntry
from trimtab.steering.artifact.manifest import ConditionEntry as ConditionEntry
from trimtab.steering.artifact.manifest import EditEntry as EditEntry
from trimtab.steering.artifact.manifest import Manifest as Manifest
from trimtab.steering.artifact.manifest import canonical as canonical
from trimtab.steering.artifact.manifest import format_of as format_of
from trimtab.steering.artifact.tensors import Floats as Floats
