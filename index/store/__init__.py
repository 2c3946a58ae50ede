"""Articles with all their versions, sentences and passages, and all vectors, on disk. All that knows SQLite is here."""

from index.store.backup import Backup, Restored
from index.store.backup import read as read_backup
from index.store.change import Change
from index.store.filters import Filters
from index.store.rows import Deletion, Known, Reading, Readings, Record, Summary
from index.store.schema import FORMAT
from index.store.store import Store

__all__ = [
    "FORMAT",
    "Backup",
    "Change",
    "Deletion",
    "Filters",
    "Known",
    "Reading",
    "Readings",
    "Record",
    "Restored",
    "Store",
    "Summary",
    "read_backup",
]
