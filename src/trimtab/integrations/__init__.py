"""What other tools read and write, each a thin file on the core."""

from trimtab.integrations.convert import Conversion as Conversion
from trimtab.integrations.convert import convert as convert
from trimtab.integrations.convert import read as read
from trimtab.integrations.hooks import from_hooks as from_hooks
from trimtab.integrations.hooks import module_hooks as module_hooks
from trimtab.integrations.hooks import transformer_lens_hooks as transformer_lens_hooks
