"""Which articles are near-duplicates of each other, kept beside them: signatures, bands and pairs.

All of it is told from the texts, of current versions alone, and goes with them: a version that is superseded, or whose
article is deleted, leaves nothing here.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from index.errors import CorpusDamagedError
from index.nearduplicates import THRESHOLD, Shingles, bands, estimates, shingles, signature, similarity
from index.store.database import Database
from index.store.rows import Row, making_sense

# Of a band that many articles share (a form letter, a weather report) the newest so many are looked at, so that each
# article costs the same however many there are.
_OF_BAND = 16
# Articles that share most bands, whose signatures are compared; then those whose texts are.
_COMPARED, _VERIFIED = 64, 16
# An estimate below this is of a pair that is not as similar as THRESHOLD, but for four sigmas.
_LIKELY = 0.3
# Articles whose bands are entered together, in order, where all are made again.
_TOGETHER = 20_000


def enter(db: Database, article: int, text: str) -> None:
    """Enter the version of key `article`, whose body is `text`, with those that it is a near-duplicate of."""
    its_shingles = shingles(text)
    its_signature = signature(its_shingles)
    its_bands = bands(its_signature)
    _relate(db, article, its_shingles, its_signature, its_bands)
    db.run("INSERT INTO signatures VALUES (?, ?)", (article, its_signature))
    db.run_many("INSERT INTO bands VALUES (?, ?)", [(band, article) for band in its_bands])


def forget(db: Database, article: int) -> None:
    """Remove all that is kept of the version of key `article`."""
    rows = db.rows("SELECT signature FROM signatures WHERE article = ?", (article,))
    its_bands: list[int] = []
    with suppress(TypeError, ValueError):
        its_bands = [band for row in rows for band in bands(row["signature"])]
    deleted = db.run_many("DELETE FROM bands WHERE band = ? AND article = ?", [(band, article) for band in its_bands])
    if deleted != len(its_bands) or not its_bands:
        # The signature is not what it was: what else is there of the article goes all the same.
        db.run("DELETE FROM bands WHERE article = ?", (article,))
    db.run("DELETE FROM signatures WHERE article = ?", (article,))
    db.run(
        "DELETE FROM near_duplicates WHERE other = ? AND one IN (SELECT other FROM near_duplicates WHERE one = ?)",
        (article, article),
    )
    db.run("DELETE FROM near_duplicates WHERE one = ?", (article,))


def forget_all(db: Database) -> None:
    """Remove all that is kept here."""
    for table in ("near_duplicates", "bands", "signatures"):
        db.run(f"DELETE FROM {table}")


def make_again(db: Database) -> None:
    """Make all anew from the texts of the current versions; inside a transaction of the caller's."""
    forget_all(db)
    # Entered first, and in order, because a tree of many pages takes that far better than the order of chance.
    waiting: list[tuple[int, int]] = []
    rows = db.stream("SELECT key, text, body_start, body_end FROM versions WHERE current ORDER BY key")
    for number, row in enumerate(rows, start=1):
        its_signature = signature(shingles(_body(row)))
        db.run("INSERT INTO signatures VALUES (?, ?)", (row["key"], its_signature))
        waiting += [(band, row["key"]) for band in bands(its_signature)]
        if number % _TOGETHER == 0:
            db.run_many("INSERT INTO bands VALUES (?, ?)", sorted(waiting))
            waiting.clear()
    db.run_many("INSERT INTO bands VALUES (?, ?)", sorted(waiting))
    for row in db.stream("SELECT article, signature FROM signatures ORDER BY article"):
        _relate(db, row["article"], None, row["signature"], bands(row["signature"]))


def near_duplicates(
    db: Database, article_ids: Iterable[str], within: Collection[str] | None
) -> dict[str, dict[str, float]]:
    """Return the ids of the near-duplicates of each of these articles that has any, with how similar they are.

    Most similar first, ties by id. within: only those in these collections. Raises CorpusDamagedError.
    """
    rows = db.rows(
        "SELECT v.id, o.id AS other_id, n.one, n.other, n.similarity, n.seal, o.collection"
        " FROM versions v JOIN near_duplicates n ON n.one = v.key JOIN versions o ON o.key = n.other"
        f" WHERE v.current AND {db.among('v.id')} ORDER BY v.id, n.similarity DESC, o.id",
        (db.listed(article_ids),),
    )
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if _seal(row["one"], row["other"], row["similarity"]) != row["seal"]:
            raise CorpusDamagedError(
                f"what is kept of the near-duplicates of {row['id']!r} is not what was written: the database is "
                "damaged; `quoteline check` says what else is, `quoteline rebuild` makes that again from the texts"
            )
        if within is None or row["collection"] in within:
            found.setdefault(row["id"], {})[row["other_id"]] = row["similarity"]
    return found


def is_entered(db: Database, article: int, text: str) -> bool:
    """Whether signature and bands of the version of key `article` are those of its body, `text`."""
    rows = db.rows("SELECT signature FROM signatures WHERE article = ?", (article,))
    wanted = signature(shingles(text))
    [there] = db.rows(
        f"SELECT count(*) AS n FROM bands WHERE article = ? AND {db.among('band')}", (article, db.listed(bands(wanted)))
    )
    return [row["signature"] for row in rows] == [wanted] and there["n"] == len(bands(wanted))


def damages(db: Database) -> Iterator[str]:
    """Yield what is wrong with signatures, bands and pairs that `is_entered` does not see, in words."""
    [strays] = db.rows(
        "SELECT count(*) AS n FROM signatures s LEFT JOIN versions v ON v.key = s.article AND v.current"
        " WHERE v.key IS NULL"
    )
    [surplus] = db.rows(
        "SELECT (SELECT count(*) FROM bands) - (SELECT coalesce(sum(length(signature) / 6), 0) FROM signatures) AS n"
    )
    if strays["n"] or surplus["n"]:
        yield "there are signatures of no article that is searched; `quoteline rebuild` makes them again"
    rows = db.stream(
        "SELECT n.one, n.other, n.similarity, n.seal, v.current AND o.current AND n.similarity = m.similarity AS mutual"
        " FROM near_duplicates n LEFT JOIN near_duplicates m ON m.one = n.other AND m.other = n.one"
        " LEFT JOIN versions v ON v.key = n.one LEFT JOIN versions o ON o.key = n.other"
    )
    if not all(row["mutual"] and _seal(row["one"], row["other"], row["similarity"]) == row["seal"] for row in rows):
        yield "a pair of near-duplicates is not what was written; `quoteline rebuild` makes them again"


def _relate(
    db: Database,
    article: int,
    its_shingles: Shingles | None,
    its_signature: bytes,
    its_bands: list[int],
) -> None:
    """Keep which of the articles with lower keys are near-duplicates. its_shingles: None where they are not at hand."""
    candidates = _candidates(db, article, its_signature, its_bands)
    if not candidates:
        return
    if its_shingles is None:
        its_shingles = _shingles_of(db, article)
    found = [(similarity(its_shingles, _shingles_of(db, other)), other) for other in candidates]
    pairs = [(share, other) for share, other in found if share >= THRESHOLD]
    db.run_many(
        "INSERT INTO near_duplicates VALUES (?, ?, ?, ?)",
        [
            (one, another, share, _seal(one, another, share))
            for share, other in pairs
            for one, another in ((article, other), (other, article))
        ],
    )


def _candidates(db: Database, article: int, its_signature: bytes, its_bands: list[int]) -> list[int]:
    """Return the keys of the articles with lower keys that are worth a comparison of the texts, likeliest first."""
    of_band = "SELECT article FROM bands WHERE band = ? AND article < ? ORDER BY article DESC LIMIT ?"
    shared = Counter(row["article"] for row in db.each(of_band, its_bands, (article, _OF_BAND)))
    if not shared:
        return []
    rows: Sequence[Row] = db.rows(
        f"SELECT article, signature FROM signatures WHERE {db.among('article')} ORDER BY article",
        (db.listed([one for one, _ in shared.most_common(_COMPARED)]),),
    )
    rows = [row for row in rows if len(row["signature"]) == len(its_signature)]
    with making_sense("the signature of an article"):
        likely = estimates(its_signature, [row["signature"] for row in rows])
    order = np.argsort(-likely, kind="stable")[:_VERIFIED].tolist()
    return [rows[at]["article"] for at in order if likely[at] >= _LIKELY]


def _shingles_of(db: Database, article: int) -> Shingles:
    [row] = db.rows("SELECT text, body_start, body_end FROM versions WHERE key = ?", (article,))
    return shingles(_body(row))


def _body(row: Row) -> str:
    return str(row["text"][row["body_start"] : row["body_end"]])


def _seal(one: int, other: int, similarity: float) -> int:
    return zlib.crc32(f"{one} {other} {similarity!r}".encode())
