"""Begin a project: a folder in which steering is checked again whenever something changes."""

from trimtab.workflows.init.project import FILES as FILES
from trimtab.workflows.init.project import create_project as create_project
