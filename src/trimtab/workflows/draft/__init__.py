"""A first draft of a behavior: contrast examples written by a chat model, for a person to edit."""

from trimtab.workflows.draft.drafting import Drafted as Drafted
from trimtab.workflows.draft.drafting import draft as draft
from trimtab.workflows.draft.drafting import writable as writable
from trimtab.workflows.draft.writers import EndpointWriter as EndpointWriter
from trimtab.workflows.draft.writers import LoadedWriter as LoadedWriter
from trimtab.workflows.draft.writers import Writer as Writer
