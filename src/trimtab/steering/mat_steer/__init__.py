"""MAT-Steer (2502.12446): gates and vectors for several attributes, trained together on tokens of both sides."""

from trimtab.steering.mat_steer.data import TokenRows as TokenRows
from trimtab.steering.mat_steer.data import TokenSides as TokenSides
from trimtab.steering.mat_steer.diagnostics import GateCollapse as GateCollapse
from trimtab.steering.mat_steer.diagnostics import gate_statistics as gate_statistics
from trimtab.steering.mat_steer.options import Options as Options
from trimtab.steering.mat_steer.training import Trained as Trained
from trimtab.steering.mat_steer.training import train as train
