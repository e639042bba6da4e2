"""WHERE: load any decoder language model, find its blocks, and run the one forward pass."""

from trimtab.models.capture import Captured as Captured
from trimtab.models.condition import Condition as Condition
from trimtab.models.decoding import Completion as Completion
from trimtab.models.encoding import Encoder as Encoder
from trimtab.models.facts import ModelFacts as ModelFacts
from trimtab.models.loading import load as load
from trimtab.models.model import Model as Model
from trimtab.models.plan import Batch as Batch
from trimtab.models.plan import Edit as Edit
from trimtab.models.plan import Plan as Plan
from trimtab.models.plan import Steer as Steer
from trimtab.models.plan import Trace as Trace
from trimtab.models.plan import in_scope as in_scope
from trimtab.models.scoring import Scores as Scores
from trimtab.models.sites import Place as Place
from trimtab.models.sites import Site as Site
from trimtab.models.steerable import Steerable as Steerable
from trimtab.models.steerable import fronts as fronts
from trimtab.models.steerable import steer as steer
from trimtab.models.text import Encoded as Encoded
from trimtab.models.text import collate as collate
from trimtab.models.tokens import CapturedTokens as CapturedTokens
