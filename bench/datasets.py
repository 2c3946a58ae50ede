"""Data sets in BEIR's layout: articles, questions, and what answers them.

corpus.jsonl      one article per line: `_id` or `id`, `title`, `text`, and our own metadata
queries.jsonl     one question per line: `_id` or `id`, `text`; optional: `answers` (the words that answer),
                  `answerable` (false where nothing here answers), `source_doc` (the article that it was made from)
qrels.tsv         query-id, corpus-id, score, under a header; or BEIR's own `qrels/test.tsv`
evidence.jsonl    optional: `query_id`, `doc_id`, `text` (the sentence that answers, as it stands in the article)
                  and `ambiguous` (other sentences of that article may answer as well), `label` (what the sentence
                  says of a claim: SUPPORT, CONTRADICT)
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.metrics import Place
from index.articles import Article, Span
from index.errors import FormatError, InputError
from index.formats import read_articles

# Names that say which part of a data set a folder holds, but not of which one.
_PARTS = {"train", "dev", "tune", "test"}


@dataclass(frozen=True, slots=True)
class Query:
    """A question, or a claim, by its id.

    answers: words that answer, any of them. answerable: whether anything in the data set answers; None where it does
    not say. source: the id of the article that the question was made from, where that is told.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    answerable: bool | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What answers one question: any of `places`.

    ambiguous: the article may hold other sentences that do. labels: what they say of a claim, where that is told.
    """

    places: tuple[Place, ...]
    ambiguous: bool = False
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Dataset:
    """Articles, questions and their targets.

    corpus: the file that the articles came from. articles: as the product reads them. unread: why some were not.
    targets: by query id; questions that nothing answers have none. by_sentence: whether a target is a sentence, from
    evidence.jsonl, or a whole article, from the qrels.
    """

    name: str
    corpus: Path
    articles: tuple[Article, ...]
    unread: tuple[str, ...]
    queries: tuple[Query, ...]
    targets: Mapping[str, Target]
    by_sentence: bool

    def answerable(self) -> list[Query]:
        """Return the questions that have a target, in order."""
        return [query for query in self.queries if query.id in self.targets]

    def is_answerable(self, query: Query) -> bool | None:
        """Return whether anything here answers; None where neither the question nor the targets tell."""
        if query.answerable is not None:
            return query.answerable and query.id in self.targets
        return True if query.id in self.targets else None

    def titles(self) -> dict[str, frozenset[str]]:
        """Return by query id the titles of the articles that it is about; of a question of which nothing tells none."""
        titles = {article.id: title_of(article) for article in self.articles}
        found = {}
        for query in self.queries:
            places = self.targets[query.id].places if query.id in self.targets else ()
            ids = {place.article_id for place in places} | ({query.source} if query.source else set())
            found[query.id] = frozenset(titles[one] for one in ids if one in titles)
        return found

    def sample(self, count: int) -> "Dataset":
        """Return the data set with at most `count` of its questions: the same ones on every machine, in every run."""
        chosen = sorted(self.queries, key=lambda query: hashlib.sha256(query.id.encode()).digest())
        return replace(self, queries=tuple(chosen[:count]))


def title_of(article: Article) -> str:
    """Return the title, which several paragraphs of one article share; of an article without one its id."""
    return article.title or article.id


def load_dataset(folder: Path) -> Dataset:
    """Read the data set in `folder`. Raises InputError, which names the file, where it is no such data set."""
    corpus = _existing(folder / "corpus.jsonl")
    articles, unread = _read_articles(corpus)
    path = _existing(folder / "queries.jsonl")
    queries = tuple(_query(record, path) for record in _records(path, "_id", "text"))
    relevant = _read_qrels(folder)
    evidence = folder / "evidence.jsonl"
    by_sentence = evidence.exists()
    targets = _sentence_targets(evidence, articles, relevant) if by_sentence else _article_targets(articles, relevant)
    return Dataset(_name(folder), corpus, tuple(articles.values()), unread, queries, targets, by_sentence)


def _query(record: Mapping[str, object], path: Path) -> Query:
    answers, answerable, source = record.get("answers") or [], record.get("answerable"), record.get("source_doc")
    if not isinstance(answers, list) or not (answerable is None or isinstance(answerable, bool)):
        raise InputError(
            f"{path}: question {record['_id']} "
            "has `answers` that are no list, or `answerable` that is neither true nor false"
        )
    return Query(
        str(record["_id"]),
        str(record["text"]),
        tuple(map(str, answers)),
        answerable,
        None if source is None else str(source),
    )


def _name(folder: Path) -> str:
    *_, parent, name = folder.resolve().parts
    return f"{parent}-{name}" if name in _PARTS else name


def _read_articles(corpus: Path) -> tuple[dict[str, Article], tuple[str, ...]]:
    articles: dict[str, Article] = {}
    unread = []
    with corpus.open("rb") as file:
        for read in read_articles(file, name=corpus.name):
            if isinstance(read, FormatError):
                unread.append(str(read))
            else:
                articles[read.id] = read
    if not articles:
        raise InputError(f"{corpus} holds no article: {'; '.join(unread[:3])}")
    return articles, tuple(unread)


def _read_qrels(folder: Path) -> Mapping[str, frozenset[str]]:
    """Return the ids of the articles that answer a question, in whole or in part, by the question's id."""
    path = folder / "qrels" / "test.tsv"
    path = path if path.exists() else _existing(folder / "qrels.tsv")
    relevant: dict[str, frozenset[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows, None)
        for row in filter(None, rows):
            if len(row) != 3 or not row[2].lstrip("-").isdigit():
                raise InputError(f"{path}, line {rows.line_num}: not query-id, corpus-id and score, apart by tabs")
            query_id, article_id, score = row
            if int(score) > 0:
                relevant[query_id] = relevant.get(query_id, frozenset()) | {article_id}
    return relevant


def _sentence_targets(
    path: Path, articles: Mapping[str, Article], relevant: Mapping[str, frozenset[str]]
) -> dict[str, Target]:
    """Return the sentences that answer, by query id; evidence in an article that the qrels deny is none."""
    targets: dict[str, Target] = {}
    for record in _records(path, "query_id", "doc_id", "text"):
        query_id, article_id, text = str(record["query_id"]), str(record["doc_id"]), str(record["text"])
        if article_id not in relevant.get(query_id, ()):
            continue
        if article_id not in articles:
            raise InputError(f"{path}: question {query_id} is answered by {article_id}, which the corpus does not hold")
        places = tuple(Place(article_id, span) for span in _find(text, articles[article_id].text))
        if not places:
            raise InputError(f"{path}: the evidence for {query_id} does not stand in {article_id}, word for word")
        known = targets.get(query_id, Target(()))
        label = frozenset({str(record["label"])} if record.get("label") else ())
        targets[query_id] = Target(
            known.places + places, known.ambiguous or bool(record.get("ambiguous")), known.labels | label
        )
    return targets


def _article_targets(articles: Mapping[str, Article], relevant: Mapping[str, frozenset[str]]) -> dict[str, Target]:
    found = {
        query_id: tuple(Place(one, Span(0, len(articles[one].text))) for one in sorted(ids) if one in articles)
        for query_id, ids in relevant.items()
    }
    return {query_id: Target(places) for query_id, places in found.items() if places}


def _find(text: str, among: str) -> Iterator[Span]:
    """Yield every place where `text` stands."""
    start = among.find(text) if text else -1
    while start >= 0:
        yield Span(start, start + len(text))
        start = among.find(text, start + len(text))


def _records(path: Path, *names: str) -> Iterator[Mapping[str, object]]:
    """Yield the objects of a JSON Lines file, each of which must have all of `names`; `id` stands for `_id`, too."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON; write one JSON object per line") from error
            if isinstance(record, dict) and "id" in record:
                record = {"_id": record["id"], **record}
            if not isinstance(record, dict) or any(name not in record for name in names):
                raise InputError(f"{path}, line {number}: not a JSON object with {', '.join(names)}")
            yield record


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a data set holds corpus.jsonl, queries.jsonl and qrels.tsv (BEIR's layout)"
        )
    return path
