"""Articles with all their versions, sentences and passages, and all vectors, kept for good.

All that knows SQLite and PostgreSQL is here.
"""

from index.store.backup import Backup, Restored
from index.store.backup import read as read_backup
from index.store.change import Change
from index.store.copies import Copied, copy_store
from index.store.filters import Filters
from index.store.rows import Deletion, Known, Reading, Readings, Record, Summary
from index.store.schema import FORMAT
from index.store.store import Store, open_store

__all__ = [
    "FORMAT",
    "Backup",
    "Change",
    "Copied",
    "Deletion",
    "Filters",
    "Known",
    "Reading",
    "Readings",
    "Record",
    "Restored",
    "Store",
    "Summary",
    "copy_store",
    "open_store",
    "read_backup",
]
