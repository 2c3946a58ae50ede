"""What every corpus promises, whatever it is searched with."""

import datetime as dt
import io
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from index.address import Address
from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import ArticleNotFoundError, EncoderMismatchError
from index.formats import read_articles
from index.retrieval import Retriever
from index.store import Filters
from index.testing import HashingEncoder
from tests.index.milvus_server import DIM, LiteServer, lite_server, open_corpus

SEEDS = Path(__file__).parents[2] / "seeds"


@dataclass(frozen=True)
class Place:
    """Where a corpus is; each `open` is one more process' view of it, as far as it can be told from another's."""

    folder: Path
    address: Address | None
    _opened: ExitStack

    def open(self, encoder: HashingEncoder | None = None, *, rebuild: bool = False, again: bool = False) -> Corpus:
        corpus = open_corpus(self.folder, self.address, encoder=encoder, rebuild=rebuild, encode_again=again)
        self._opened.callback(corpus.close)
        return corpus


@pytest.fixture(scope="module")
def milvus() -> Iterator[LiteServer]:
    with lite_server() as server:
        yield server


@pytest.fixture(params=["embedded", "Milvus", "Milvus and PostgreSQL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    address: Address | None = None
    if "Milvus" in request.param:
        server: LiteServer = request.getfixturevalue("milvus")
        store: str | None = request.getfixturevalue("address") if "PostgreSQL" in request.param else None
        address = replace(server.address(), store=store)
    with ExitStack() as opened:
        yield Place(tmp_path, address, opened)


@pytest.fixture
def corpus(place: Place) -> Corpus:
    return place.open()


def article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(name, text, Span(0, len(text))), **facts)  # type: ignore[arg-type]


def add(corpus: Corpus, *articles: Article) -> None:
    assert {outcome.kind for outcome in corpus.add(articles)} <= {"added", "replaced", "unchanged"}


def quoted(corpus: Corpus, question: str, filters: Filters | None = None) -> list[str]:
    found = Retriever(corpus).retrieve(question, top_k=50, filters=filters).candidates
    return [one.sentence.span.of(corpus.store.record(one.sentence.article_id).article.text) for one in found]


def found(corpus: Corpus, question: str, filters: Filters | None = None) -> set[str]:
    candidates = Retriever(corpus).retrieve(question, top_k=50, filters=filters).candidates
    return {one.sentence.article_id for one in candidates}


def test_what_was_added_is_found_at_once(corpus: Corpus) -> None:
    assert not found(corpus, "Who denies it?")
    add(corpus, article("a", "Iran denies it. It was Friday."), article("b", "Rain fell on the harbour."))
    assert quoted(corpus, "Who denies it?")[0] == "Iran denies it."
    assert quoted(corpus, "rain in the harbour")[0] == "Rain fell on the harbour."


def test_what_was_replaced_is_not_found_and_its_new_version_is(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies the report."), article("b", "Rain fell on the harbour."))
    add(corpus, article("a", "Iran admits the report."))
    assert quoted(corpus, "Iran and the report")[0] == "Iran admits the report."
    assert "Iran denies the report." not in quoted(corpus, "Iran denies the report")


def test_what_was_removed_is_not_found(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies the report."), article("b", "Rain fell on the harbour."))
    corpus.remove(["a"])
    assert found(corpus, "Iran denies the report") == {"b"}
    with pytest.raises(ArticleNotFoundError):
        corpus.remove(["a"])


def test_a_title_is_searched_with_each_passage(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n}", f"He counted {n} lamps.", title="Harbour" if n == 7 else "Mill") for n in range(9)))
    assert quoted(corpus, "harbour lamps")[0] == "He counted 7 lamps."


def test_the_best_of_both_measures_is_first_and_scores_fall(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n:02}", f"Town {n} has a mill. The mayor of town {n} slept.") for n in range(40)))
    encoder, snapshot = corpus.encoder, corpus.snapshot
    vectors = encoder.encode_questions(["the mayor of town 23"])
    result = snapshot.search(lambda: vectors, ["mayor", "town", "23"], 10, Filters())
    [key] = corpus.store.passages_of(Filters(article_ids=("a23",)))
    for measure in (result.dense, result.lexical):
        assert measure[0].key == key
        assert len(measure) == 10
        assert [one.score for one in measure] == sorted((one.score for one in measure), reverse=True)
        assert measure[0].score > 0
    assert result.dense[0].score <= 1.001


def test_bm25_finds_only_what_holds_a_term(corpus: Corpus) -> None:
    add(corpus, article("a", "Iran denies the report."), article("b", "Rain fell on the harbour."))
    vectors = corpus.encoder.encode_questions(["rain"])
    [key] = corpus.store.passages_of(Filters(article_ids=("b",)))
    assert [one.key for one in corpus.snapshot.search(lambda: vectors, ["rain"], 10, Filters()).lexical] == [key]
    assert not corpus.snapshot.search(lambda: vectors, ["nowher"], 10, Filters()).lexical
    assert not corpus.snapshot.search(lambda: vectors, [], 10, Filters()).lexical


def test_equals_stand_in_the_order_of_their_articles(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n:02}", "The mayor denied it.", title=None) for n in (5, 3, 9, 1)))
    candidates = Retriever(corpus).retrieve("Did the mayor deny it?", top_k=10).candidates
    assert [one.sentence.article_id for one in candidates] == ["a01", "a03", "a05", "a09"]
    vectors = corpus.encoder.encode_questions(["mayor"])
    for measure in (result := corpus.snapshot.search(lambda: vectors, ["mayor"], 10, Filters())).dense, result.lexical:
        assert [one.key for one in measure] == sorted(one.key for one in measure)


TEXTS = (
    "The café in Zürich — “Größe” — closed.",
    "東京で会談が行われた。",
    "Она отрицает отчёт.",
    "The 🚀 pad 👩\u200d👩\u200d👧 burned.",
    "Le cafe\u0301 de Bogota\u0301 est ferme\u0301.",
    "naïve \u00ad soft\u00adhyphen \u0130stanbul.",
)


def test_any_letters_are_found_and_quoted(corpus: Corpus) -> None:
    add(corpus, *(article(f"a{n}", text) for n, text in enumerate(TEXTS)))
    for text in TEXTS:
        assert quoted(corpus, text)[0] == text


ODD = 'a"] or key > 0 or article in ["b'
ARTICLES = tuple(
    article(
        name,
        f"The mayor of {name.replace('.', '')} denied the report.",
        source=source,
        collection=collection,
        date=dt.date.fromisoformat(date) if date else None,
    )
    for name, source, collection, date in (
        ("plain", None, "news", None),
        (ODD, "BBC", "news", "2024-02-29"),
        ("straße", "STRASSE", "sport", "2024-03-01"),
        ("a'b\\c", 'o\'Neill \\ "Sons"', "sport", "2023-12-31"),
        ("東京", "東京新聞", "news", "2024-02-29"),
        ("early", "bbc", "odd", "0001-01-01"),
        ("late", "x" * 5000, "odd", "9999-12-31"),
    )
)
FILTERS = (
    Filters(article_ids=("plain",)),
    Filters(article_ids=(ODD, "東京", "nobody")),
    Filters(article_ids=("nobody",)),
    Filters(sources=("BbC",)),
    Filters(sources=("straße", "東京新聞")),
    Filters(sources=('o\'neill \\ "sons"', "x" * 5000)),
    Filters(sources=("",)),
    Filters(collections=("news",)),
    Filters(collections=("sport", "odd")),
    Filters(collections=("none",)),
    Filters(date_from=dt.date(2024, 2, 29)),
    Filters(date_to=dt.date(2024, 2, 29)),
    Filters(date_from=dt.date(1, 1, 1)),
    Filters(date_from=dt.date(2024, 2, 29), date_to=dt.date(2024, 2, 29)),
    Filters(date_from=dt.date(2024, 1, 1), sources=("bbc", "strasse"), collections=("news",)),
    Filters(article_ids=("plain", "early"), collections=("news",), date_to=dt.date(2030, 1, 1)),
    Filters(as_of=dt.date(2001, 1, 1)),
    Filters(as_of=dt.date(2999, 1, 1), collections=("sport",)),
)


def is_admitted(one: Article, filters: Filters) -> bool:
    """Whether filters admit an article that was added today, told without any index."""
    sources = {source.casefold() for source in filters.sources}
    return (
        (not filters.article_ids or one.id in filters.article_ids)
        and (not sources or (one.source is not None and one.source.casefold() in sources))
        and (not filters.collections or one.collection in filters.collections)
        and (not filters.date_from or (one.date is not None and one.date >= filters.date_from))
        and (not filters.date_to or (one.date is not None and one.date <= filters.date_to))
        and (not filters.as_of or filters.as_of > dt.date(2020, 1, 1))
    )


def test_filters_admit_what_they_say_and_nothing_else(corpus: Corpus) -> None:
    add(corpus, *ARTICLES)
    for filters in FILTERS:
        wanted = {one.id for one in ARTICLES if is_admitted(one, filters)}
        assert found(corpus, "Which mayor denied the report?", filters) == wanted, filters
        assert corpus.snapshot.admits(filters) == bool(wanted), filters


def test_a_version_of_an_earlier_day_is_found_as_of_that_day(corpus: Corpus) -> None:
    add(corpus, article("a", "The mayor denied the report."), article("b", "The mayor slept."))
    today = Filters(as_of=dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1))
    add(corpus, article("a", "The mayor admitted the report."))
    assert "The mayor admitted the report." in quoted(corpus, "the mayor and the report", today)
    assert found(corpus, "the mayor", Filters(as_of=dt.date(2001, 1, 1))) == set()


def test_an_article_that_moves_to_another_collection_is_found_only_there(corpus: Corpus) -> None:
    add(corpus, article("a", "The mayor denied it.", collection="news"))
    add(corpus, article("a", "The mayor denied it.", collection="sport"))
    assert found(corpus, "mayor", Filters(collections=("news",))) == set()
    assert found(corpus, "mayor", Filters(collections=("sport",))) == {"a"}


def test_every_change_is_one_more_generation_and_is_searched(corpus: Corpus) -> None:
    changes: Sequence[Callable[[], None]] = (
        lambda: add(corpus, article("a", "The mayor denied it.")),
        lambda: add(corpus, article("a", "The mayor admitted it.")),
        lambda: corpus.remove(["a"]),
    )
    for number, change in enumerate(changes, start=1):
        change()
        assert corpus.store.generation == corpus.snapshot.generation == number
    assert len(corpus.snapshot) == 0


def test_another_process_sees_a_change_when_it_looks(place: Place) -> None:
    one, other = place.open(), place.open()
    add(one, article("a", "The mayor denied it."), article("b", "Rain fell."))
    other.refresh()
    assert quoted(other, "What did the mayor deny?")[0] == "The mayor denied it."
    add(other, article("c", "The harbour burned."))
    one.refresh()
    assert found(one, "harbour") >= {"c"}
    one.remove(["a"])
    # Without looking: passages are read from the store.
    assert "a" not in found(other, "What did the mayor deny?")
    other.refresh()
    assert one.snapshot.generation == other.snapshot.generation
    assert one.check() == other.check() == []


def test_processes_that_change_it_at_once_lose_nothing(place: Place) -> None:
    corpora = [place.open() for _ in range(3)]

    def work(number: int) -> None:
        for turn in range(4):
            add(corpora[number], article(f"a{number}-{turn}", f"Mayor {number} denied report {turn}."))
        corpora[number].remove([f"a{number}-0"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for corpus in corpora:
        corpus.refresh()
        assert found(corpus, "Which mayor denied a report?") == {
            f"a{one}-{turn}" for one in range(3) for turn in (1, 2, 3)
        }
        assert corpus.check() == []


def test_a_corpus_opened_again_is_as_it_was(place: Place) -> None:
    first = place.open()
    add(first, article("a", "The mayor denied it."), article("b", "Rain fell."))
    first.remove(["b"])
    first.close()
    again = place.open()
    assert again.repairs == []
    assert again.snapshot.generation == 2
    assert quoted(again, "mayor") == ["The mayor denied it."]
    assert again.check() == []


def test_a_rebuild_changes_no_answer(place: Place) -> None:
    first = place.open()
    add(first, *ARTICLES)
    first.remove(["plain"])
    before = quoted(first, "Which mayor denied the report?")
    first.close()
    again = place.open(rebuild=True)
    assert quoted(again, "Which mayor denied the report?") == before
    assert again.check() == []


def test_compacting_erases_and_changes_no_answer(place: Place) -> None:
    one, other = place.open(), place.open()
    add(one, *ARTICLES)
    one.remove(["plain"])
    other.refresh()
    before = quoted(one, "Which mayor denied the report?")
    assert one.compact() or one.compact()
    assert not one.store.has_traces()
    assert quoted(one, "Which mayor denied the report?") == before
    assert quoted(other, "Which mayor denied the report?") == before
    add(other, article("new", "A harbour burned."))
    one.refresh()
    assert "new" in found(one, "harbour")
    assert one.check() == []


def test_articles_encoded_again_are_found_by_their_new_vectors(place: Place) -> None:
    first = place.open()
    add(first, *ARTICLES)
    first.close()
    with pytest.raises(EncoderMismatchError):
        place.open(HashingEncoder(dim=DIM, name="another"))
    again = place.open(HashingEncoder(dim=DIM // 2, name="another"), again=True)
    assert found(again, "Which mayor denied the report?") == {one.id for one in ARTICLES}
    assert again.check() == []


def test_a_restored_backup_is_what_is_found(place: Place, tmp_path: Path) -> None:
    corpus = place.open()
    add(corpus, article("a", "The mayor denied it."), article("b", "Rain fell."))
    corpus.back_up(tmp_path / "copy")
    corpus.remove(["a"])
    add(corpus, article("c", "The harbour burned."))
    corpus.restore(tmp_path / "copy", with_deleted=True)
    assert found(corpus, "mayor, rain, harbour") == {"a", "b"}
    assert corpus.check() == []


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_added_and_removed_what_is_there_is_found(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    corpora = [place.open(), place.open()]
    there: dict[str, str] = {}
    for turn in range(25):
        corpus = chance.choice(corpora)
        name = f"a{chance.randrange(8)}"
        if name in there and chance.random() < 0.4:
            corpus.remove([name])
            del there[name]
        else:
            there[name] = f"Mayor {name} denied report {turn}."
            add(corpus, article(name, there[name]))
        if chance.random() < 0.1:
            corpus.compact()
        looking = chance.choice(corpora)
        looking.refresh()
        assert set(quoted(looking, "Which mayor denied a report?")) == set(there.values())
    for corpus in corpora:
        corpus.refresh()
        assert corpus.check() == []


def test_both_engines_answer_the_seeds_alike(milvus: LiteServer, tmp_path: Path) -> None:
    paths = sorted(SEEDS.glob("*.txt"))
    read = [one for path in paths for one in read_articles(io.BytesIO(path.read_bytes()), name=path.name)]
    encoder = HashingEncoder()
    with ExitStack() as opened:
        corpora = [
            open_corpus(tmp_path / name, address, encoder=encoder)
            for name, address in (("embedded", None), ("milvus", milvus.address()))
        ]
        for corpus in corpora:
            opened.callback(corpus.close)
            add(corpus, *(one for one in read if isinstance(one, Article)))
        sentences = [span.of(record.article.text) for record in corpora[0].store.records() for span in record.sentences]
        asked = [sentence for sentence in sentences if 40 < len(sentence) < 300][:60]
        assert len(asked) > 20
        answers = [[quoted(corpus, question) for question in asked] for corpus in corpora]
    same_first = sum(one[0] == other[0] for one, other in zip(*answers, strict=True))
    shared = [len(set(one[:10]) & set(other[:10])) / len(one[:10]) for one, other in zip(*answers, strict=True)]
    assert same_first >= 0.95 * len(asked)
    assert sum(shared) >= 0.95 * len(asked)
