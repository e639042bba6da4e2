"""The database of releases, exposures and audit: SQLite, or PostgreSQL by URL."""

from trimtab.operations.store.database import Store as Store
from trimtab.operations.store.database import migrate as migrate
