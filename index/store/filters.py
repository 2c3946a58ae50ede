"""Which articles may answer, or are listed."""

import datetime as dt
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filters:
    """Which articles may answer; an empty filter admits all. Dates are inclusive; sources match in any case."""

    article_ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    date_from: dt.date | None = None
    date_to: dt.date | None = None
    collections: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.article_ids or self.sources or self.date_from or self.date_to or self.collections)

    def condition(self) -> tuple[str, list[str]]:
        """Return an SQL condition on the table `versions AS v`, which only current versions meet, and its values."""
        conditions, values = ["v.current"], []
        for names, member in (
            (self.article_ids, "v.id IN (SELECT value FROM json_each(?))"),
            (self.sources, "casefold(v.source) IN (SELECT casefold(value) FROM json_each(?))"),
            (self.collections, "v.collection IN (SELECT value FROM json_each(?))"),
        ):
            if names:
                conditions.append(member)
                values.append(json.dumps(names))
        for day, side in ((self.date_from, "v.date >= ?"), (self.date_to, "v.date <= ?")):
            if day:
                conditions.append(side)
                values.append(day.isoformat())
        return " AND ".join(conditions), values
