"""THE WORDS: where, on which tokens, how strongly and when a model is edited. No torch."""

from trimtab.interventions.condition import Condition as Condition
from trimtab.interventions.edit import Edit as Edit
from trimtab.interventions.facts import Fit as Fit
from trimtab.interventions.facts import KnownModel as KnownModel
from trimtab.interventions.facts import ModelFacts as ModelFacts
from trimtab.interventions.scopes import SCOPES as SCOPES
from trimtab.interventions.scopes import WINDOWS as WINDOWS
from trimtab.interventions.scopes import Scope as Scope
from trimtab.interventions.scopes import Scopes as Scopes
from trimtab.interventions.scopes import checked_scopes as checked_scopes
from trimtab.interventions.sites import COMPONENTS as COMPONENTS
from trimtab.interventions.sites import Component as Component
from trimtab.interventions.sites import Place as Place
from trimtab.interventions.sites import Site as Site
from trimtab.interventions.steerable import PromptTexts as PromptTexts
from trimtab.interventions.steerable import Steerable as Steerable
from trimtab.interventions.steerable import fronts as fronts
from trimtab.interventions.strengths import Attributes as Attributes
from trimtab.interventions.strengths import Strength as Strength
from trimtab.interventions.strengths import Strengths as Strengths
from trimtab.interventions.strengths import strength_rows as strength_rows
