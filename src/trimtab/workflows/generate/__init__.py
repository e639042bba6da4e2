"""Text with and without a steering, and what the steering saw in each token."""

from trimtab.workflows.generate.generate import Continued as Continued
from trimtab.workflows.generate.generate import generate as generate
