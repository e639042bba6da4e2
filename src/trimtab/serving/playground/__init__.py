"""A page on which people chat with the model, steered and unsteered side by side; its files, and what serves them."""

from trimtab.serving.playground.pages import PATHS as PATHS
from trimtab.serving.playground.pages import pages as pages
