"""Whether what somebody cites stands where they say. No HTTP here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from index.articles import Span
from index.corpus import Corpus
from index.errors import ArticleNotFoundError, CitationNotFoundError, CorpusDamagedError, QuestionError
from index.quotes import LONGEST_QUOTE, Piece, all_verbatim, find_altered, find_verbatim, nearest_sentence
from index.quotes import word_difference as difference_of
from index.retrieval import LONGEST_QUESTION, Retriever
from index.store import Filters, Record
from service.citations import CitationId, Quotation, quotation

Status = Literal["current", "unchanged", "changed", "dropped"]
Standing = Literal["verbatim", "altered", "nowhere"]

# The articles, and the versions of each, that a quote without an address is looked for in.
_MOST_ARTICLES = 20
_MOST_VERSIONS = 20
MOST_PLACES = 20


@dataclass(frozen=True, slots=True)
class CheckedCitation:
    """A citation, read again from the stored text and compared with the checksum taken when that was added.

    sha256: that checksum, of text and metadata. status: `current` where no newer version took the article's place; then
    `unchanged`, `changed` or `dropped` says what became of the sentence in the newest version, `now` where it stands
    there, and `difference` how it was changed.
    """

    quotation: Quotation
    sha256: str
    status: Status
    latest_version: int
    now: Quotation | None
    difference: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pasted quote, or what it was made of, stands.

    current: whether that is the newest version. similarity: 1 for word for word. only_form: the words are the same but
    for case and punctuation. difference: word by word.
    """

    quotation: Quotation
    current: bool
    similarity: float
    only_form: bool
    difference: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Where a pasted quote stands: word for word, altered, or nowhere; best places first."""

    quote: str
    verdict: Standing
    reason: str
    places: tuple[Place, ...]
    generation: int


class Checker:
    """Checks citations and pasted quotes against the stored texts of one corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._store = corpus.store
        self._retriever = Retriever(corpus)

    def citation(self, citation_id: str, *, collections: Sequence[str] = (), base_url: str = "") -> CheckedCitation:
        """Return what the citation of that id says, and what became of it.

        collections: only articles of these; all, where none is named.
        Raises CitationNotFoundError, ArticleNotFoundError, ArticleDeletedError; CorpusDamagedError where the text is
        not what was added.
        """
        cited = CitationId.parse(citation_id)
        with self._store.frozen():
            record = self._record(cited.article_id, cited.version)
            latest = record if record.current else self._record(cited.article_id)
        if collections and latest.article.collection not in collections:
            raise ArticleNotFoundError(f"there is no article {cited.article_id!r}")
        if cited.span.end > len(record.article.text):
            raise CitationNotFoundError(
                f"version {cited.version} of {cited.article_id!r} has {len(record.article.text)} characters; "
                f"{cited.span.start}-{cited.span.end} is none of it"
            )
        quoted = quotation(record, cited.span, base_url)
        status, span = _became(quoted.quote, record, latest)
        now = quotation(latest, span, base_url) if span is not None else None
        return CheckedCitation(
            quotation=quoted,
            sha256=record.digest,
            status=status,
            latest_version=latest.version,
            now=now,
            difference=difference_of(now.quote, quoted.quote) if now is not None and status == "changed" else (),
        )

    def verify(
        self,
        quote: str,
        *,
        article_id: str | None = None,
        url: str | None = None,
        collections: Sequence[str] = (),
        base_url: str = "",
    ) -> Verification:
        """Say where a pasted quote stands: in the article of that id or URL, or anywhere.

        Raises QuestionError for a quote without a word, or too long; ArticleNotFoundError.
        """
        if len(quote) > LONGEST_QUOTE or not any(c.isalnum() for c in quote):
            raise QuestionError(f"a quote has at least one word and at most {LONGEST_QUOTE} characters")
        filters = Filters(collections=tuple(collections))
        with self._store.frozen():
            generation = self._store.generation
            records = list(self._candidates(quote, article_id, url, filters))
            places = _verbatim(quote, records, base_url) or _altered(quote, records, base_url)
        verdict: Standing = "nowhere" if not places else "verbatim" if places[0].similarity == 1 else "altered"
        return Verification(quote, verdict, _reason(verdict, places), tuple(places), generation)

    def _record(self, article_id: str, version: int | None = None) -> Record:
        record = self._store.record(article_id, version)
        if record.article.digest() != record.digest:
            raise CorpusDamagedError(f"the stored text of {article_id} is not what was added; run `quoteline check`")
        return record

    def _candidates(self, quote: str, article_id: str | None, url: str | None, filters: Filters) -> Iterator[Record]:
        """Yield what the quote may stand in: current versions first."""
        ids = self._articles(quote, article_id, url, filters)
        found = self._store.records_of(ids)
        yield from (found[one] for one in ids if one in found)
        for one in ids:
            older = [summary for summary in self._store.versions(one) if not summary.current]
            yield from (self._store.record(one, summary.version) for summary in older[:_MOST_VERSIONS])

    def _articles(self, quote: str, article_id: str | None, url: str | None, filters: Filters) -> list[str]:
        if article_id is not None:
            record = self._store.record(article_id)
            if filters.collections and record.article.collection not in filters.collections:
                raise ArticleNotFoundError(f"there is no article {article_id!r}")
            return [article_id]
        if url is not None:
            ids = self._store.of_url(url, filters)
            if not ids:
                raise ArticleNotFoundError("there is no article of that URL; leave it out to look in all of them")
            return ids[:_MOST_ARTICLES]
        retrieved = self._retriever.retrieve(quote[:LONGEST_QUESTION], top_k=1, filters=filters, timely=False)
        near = list(islice(dict.fromkeys(passage.article_id for passage in retrieved.passages), _MOST_ARTICLES))
        # Ranking finds what is alike, and of a text in many articles only some; this finds it wherever it is.
        holding = self._store.holding(quote.strip(), filters)[:_MOST_ARTICLES]
        return list(dict.fromkeys([*holding, *near]))


def _became(quote: str, record: Record, latest: Record) -> tuple[Status, Span | None]:
    """Return what became of a quote in the latest version, and where it stands there."""
    if record.version == latest.version:
        return "current", None
    same = find_verbatim(quote, latest.article.text)
    if same is not None:
        return "unchanged", same
    # What stood beside it before is another sentence, however like it is.
    others = {span.of(record.article.text) for span in record.sentences}
    fresh = [span for span in latest.sentences if span.of(latest.article.text) not in others]
    nearest = nearest_sentence(quote, [span.of(latest.article.text) for span in fresh])
    return ("dropped", None) if nearest is None else ("changed", fresh[nearest])


def _verbatim(quote: str, records: Iterable[Record], base_url: str) -> list[Place]:
    places = (
        Place(quotation(record, span, base_url), record.current, 1.0, False, ())
        for record in records
        for span in all_verbatim(quote, record.article.text)
    )
    return list(islice(places, MOST_PLACES))


def _altered(quote: str, records: Iterable[Record], base_url: str) -> list[Place]:
    places: list[Place] = []
    for record in records:
        found = find_altered(quote, record.article.text)
        if found is not None:
            # Not 1 even where it rounds to that: only what stands word for word is that.
            similarity = min(round(found.similarity, 3), 0.999)
            quoted = quotation(record, found.span, base_url)
            places.append(Place(quoted, record.current, similarity, found.only_form, found.difference))
    return sorted(places, key=lambda place: (-place.similarity, not place.current))[:MOST_PLACES]


def _reason(verdict: Standing, places: Sequence[Place]) -> str:
    if verdict == "nowhere":
        return "Nothing here is near enough to be what this quotes."
    best = places[0]
    where = f"in {best.quotation.article_id}" + (
        "" if best.current else f", in its older version {best.quotation.version}"
    )
    if verdict == "verbatim":
        return f"It stands word for word {where}."
    return f"{'Only case or punctuation differ' if best.only_form else 'Other words stand'} {where}."
