"""HOW: the artifact, its edits, and one file per method."""

from trimtab.steering.edits import Additive as Additive
from trimtab.steering.methods import mean_difference as mean_difference
from trimtab.steering.steering import Origin as Origin
from trimtab.steering.steering import Steering as Steering
