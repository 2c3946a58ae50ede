"""Which articles may answer, or are listed."""

import datetime as dt
from dataclasses import dataclass

from index.store.database import Database


@dataclass(frozen=True, slots=True)
class Filters:
    """Which articles may answer; an empty filter admits all. Dates are inclusive; sources match in any case.

    as_of: of each article the version that was current at the end of this day (UTC), whether or not it was replaced
    since. An article that was deleted since is gone all the same.
    """

    article_ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    date_from: dt.date | None = None
    date_to: dt.date | None = None
    collections: tuple[str, ...] = ()
    as_of: dt.date | None = None

    def __bool__(self) -> bool:
        days = self.date_from or self.date_to or self.as_of
        return bool(self.article_ids or self.sources or days or self.collections)

    def condition(self, db: Database) -> tuple[str, list[object]]:
        """Return an SQL condition of `db` on the table `versions AS v`, and its values.

        At most one version of an article meets it: the current one, or that of `as_of`.
        """
        conditions: list[str] = []
        values: list[object] = []
        if self.as_of is None:
            conditions.append("v.current")
        else:
            conditions.append(
                "v.added_at < ? AND NOT EXISTS"
                " (SELECT 1 FROM versions w WHERE w.id = v.id AND w.version > v.version AND w.added_at < ?)"
            )
            values += [_end_of(self.as_of)] * 2
        if self.article_ids:
            conditions.append(db.among("v.id"))
            values.append(db.listed(self.article_ids))
        if self.sources:
            conditions.append(db.among(db.folded("source")))
            values.append(db.listed([source.casefold() for source in self.sources]))
        if self.collections:
            # An article belongs where its newest version does: who may not see that, may not see older ones either.
            newest = "EXISTS (SELECT 1 FROM versions c WHERE c.id = v.id AND c.current AND {})"
            conditions.append(newest.format(db.among("c.collection")) if self.as_of else db.among("v.collection"))
            values.append(db.listed(self.collections))
        for day, side in ((self.date_from, "v.date >= ?"), (self.date_to, "v.date <= ?")):
            if day:
                conditions.append(side)
                values.append(day.isoformat())
        return " AND ".join(conditions), values


def _end_of(day: dt.date) -> float:
    """Return the end of a day in UTC, in seconds since 1970."""
    return dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() + 24 * 60 * 60
