"""WITH A STORE: what a server does by the releases, and what it keeps of it."""

from trimtab.serving.live.following import Following as Following
from trimtab.serving.live.operations import Operations as Operations
