"""What other tools read and write, each a thin file on the core."""

from trimtab.integrations.convert import Conversion as Conversion
from trimtab.integrations.convert import convert as convert
from trimtab.integrations.convert import read as read
