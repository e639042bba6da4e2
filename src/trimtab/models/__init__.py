"""Load any decoder language model, find its blocks, and run the one forward pass that reads and edits them."""

from trimtab.models.capture import Captured as Captured
from trimtab.models.decoding import Completion as Completion
from trimtab.models.encoding import Encoder as Encoder
from trimtab.models.fit import ensure_fits as ensure_fits
from trimtab.models.loading import load as load
from trimtab.models.loading import load_from as load_from
from trimtab.models.model import Model as Model
from trimtab.models.plan import Batch as Batch
from trimtab.models.plan import Plan as Plan
from trimtab.models.plan import Steer as Steer
from trimtab.models.plan import Trace as Trace
from trimtab.models.plan import in_part as in_part
from trimtab.models.plan import in_scope as in_scope
from trimtab.models.plan import in_window as in_window
from trimtab.models.plan import steer as steer
from trimtab.models.scoring import AnswerScores as AnswerScores
from trimtab.models.text import Encoded as Encoded
from trimtab.models.text import collate as collate
from trimtab.models.tokens import TokenActivations as TokenActivations
from trimtab.models.unsteered import Unsteered as Unsteered
