"""What is done to an activation: one file per kind."""

from trimtab.steering.edits.ablation import Ablation as Ablation
from trimtab.steering.edits.additive import Additive as Additive
from trimtab.steering.edits.base import StoredEdit as StoredEdit
from trimtab.steering.edits.clamp import Clamp as Clamp
from trimtab.steering.edits.classifier import ClassifierGradient as ClassifierGradient
from trimtab.steering.edits.gated import Gated as Gated
from trimtab.steering.edits.rotation import Rotation as Rotation
from trimtab.steering.edits.stack import Stack as Stack

KINDS: dict[str, type[StoredEdit]] = {
    cls.kind: cls for cls in (Additive, Gated, Ablation, Rotation, Clamp, ClassifierGradient)
}
