"""What is measured of a corpus of one size."""

from dataclasses import dataclass

from bench.scale.corpora import Built, Disk
from bench.scale.quality import Hits
from bench.scale.serving import Served, Setting


@dataclass(frozen=True, slots=True)
class At:
    """All figures at one size.

    adding: passages per second, encoded by the real encoder. recall: of the vector search, against exact search.
    sentences, read: hits of sentences without and with the reader; passages: of the passages of the former.
    """

    size: int
    built: Built
    disk: Disk
    served: tuple[Served, ...]
    adding: float
    recall: float
    sentences: Hits
    read: Hits
    passages: Hits

    def served_as(self, *, reader: bool, workers: int) -> Served | None:
        """Return the figures of one setting, where it was measured."""
        return next((one for one in self.served if one.setting == Setting(reader, workers)), None)
