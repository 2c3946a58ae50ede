from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import (
    ArticleDeletedError,
    ArticleNotFoundError,
    CitationNotFoundError,
    CorpusDamagedError,
    QuestionError,
)
from index.quotes import Piece
from index.testing import HashingEncoder
from service.answering import Answerer
from service.checking import Checker
from service.citations import CitationId

FIRST = (
    "🚀 The rocket rose at dawn. More than 300 guests saw it from the old harbour. Nobody was hurt. The café was full."
)
SECOND = (
    "🚀 The rocket rose at dawn. Nearly 2,400 guests saw it from the old harbour. The café was full. The dog slept."
)


def _add(corpus: Corpus, *articles: Article) -> None:
    for outcome in corpus.add(articles):
        assert outcome.kind in ("added", "replaced"), outcome


def _article(name: str, text: str, **facts: object) -> Article:
    return replace(Article(id=name, text=text, body=Span(0, len(text))), **facts)  # type: ignore[arg-type]


def _id(article_id: str, version: int, text: str, quote: str) -> str:
    return str(CitationId(article_id, version, Span(text.index(quote), text.index(quote) + len(quote))))


@pytest.fixture
def checker(corpus: Corpus) -> Checker:
    _add(corpus, _article("a", FIRST))
    return Checker(corpus)


# Citations


def test_every_citation_of_an_answer_can_be_read_again(corpus: Corpus, checker: Checker) -> None:
    for cited in Answerer(corpus, perhaps=0).ask("Which rocket rose, and who was hurt?", top_k=10).citations:
        checked = checker.citation(cited.id)
        assert (checked.quotation.quote, checked.quotation.start_char) == (cited.quote, cited.start_char)
        assert (checked.quotation.before, checked.quotation.after) == (cited.before, cited.after)
        assert (checked.status, checked.now, checked.latest_version) == ("current", None, 1)
        assert checked.sha256 == corpus.store.record("a").article.digest()


@pytest.mark.parametrize(
    ("quote", "status", "now"),
    [
        ("The café was full.", "unchanged", "The café was full."),
        (
            "More than 300 guests saw it from the old harbour.",
            "changed",
            "Nearly 2,400 guests saw it from the old harbour.",
        ),
        ("Nobody was hurt.", "dropped", None),
    ],
)
def test_a_citation_of_an_older_version_stays_valid_and_says_what_became_of_it(
    corpus: Corpus, checker: Checker, quote: str, status: str, now: str | None
) -> None:
    _add(corpus, _article("a", SECOND))
    checked = checker.citation(_id("a", 1, FIRST, quote))
    assert (checked.quotation.quote, checked.quotation.version) == (quote, 1)
    assert (checked.status, checked.latest_version) == (status, 2)
    assert (checked.now and checked.now.quote) == now
    if checked.now is not None:
        assert SECOND[checked.now.start_char : checked.now.end_char] == now
    assert bool(checked.difference) == (status == "changed")


def test_the_difference_to_the_newest_version_is_shown_word_by_word(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("a", SECOND))
    pieces = checker.citation(_id("a", 1, FIRST, "More than 300 guests saw it from the old harbour.")).difference
    assert (
        "".join(piece.text for piece in pieces if piece.kind != "put_in")
        == "More than 300 guests saw it from the old harbour."
    )
    assert (
        "".join(piece.text for piece in pieces if piece.kind != "left_out")
        == "Nearly 2,400 guests saw it from the old harbour."
    )
    assert Piece("left_out", "More than 300") in pieces


def test_a_sentence_that_stood_beside_it_before_is_not_its_changed_form(corpus: Corpus, checker: Checker) -> None:
    told = "The minister said on Friday that the army shot down {} drones near the old town."
    before, after = f"{told.format(20)} {told.format(30)}", told.format(30)
    _add(corpus, _article("b", before))
    _add(corpus, _article("b", after))
    assert checker.citation(_id("b", 1, before, told.format(20))).status == "dropped"


def test_the_link_of_an_older_version_leads_to_that_version(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("a", SECOND))
    checked = checker.citation(_id("a", 1, FIRST, "Nobody was hurt."), base_url="http://here")
    assert checked.quotation.link == "http://here/articles/a/view?start=77&end=93&version=1#cited"


@pytest.mark.parametrize(
    "wrong",
    ["", "a", "a.1", "a.1.0-0", "a.1.5-3", "a.0.0-5", "a.01.0-5", "a.1.00-5", "a.1.-1-5", "a.1.0-99999", "a.1.0-5 "],
)
def test_what_is_no_citation_is_refused(checker: Checker, wrong: str) -> None:
    with pytest.raises(CitationNotFoundError):
        checker.citation(wrong)


def test_a_version_that_never_was_and_an_article_that_never_was_are_not_found(checker: Checker) -> None:
    with pytest.raises(ArticleNotFoundError, match="no version 7; it has 1"):
        checker.citation("a.7.0-5")
    with pytest.raises(ArticleNotFoundError, match="'b'"):
        checker.citation("b.1.0-5")


def test_the_citation_of_a_deleted_article_says_so_and_never_means_another(corpus: Corpus, checker: Checker) -> None:
    cited = _id("a", 1, FIRST, "Nobody was hurt.")
    corpus.remove(["a"])
    with pytest.raises(ArticleDeletedError):
        checker.citation(cited)
    _add(corpus, _article("a", SECOND))
    with pytest.raises(ArticleNotFoundError):
        checker.citation(cited)
    assert checker.citation("a.2.0-1").quotation.quote == "🚀"


def test_a_citation_is_hidden_with_its_collection(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("b", FIRST, collection="secret"))
    cited = _id("b", 1, FIRST, "Nobody was hurt.")
    assert checker.citation(cited, collections=["secret"]).quotation.collection == "secret"
    with pytest.raises(ArticleNotFoundError):
        checker.citation(cited, collections=["default"])


def test_a_text_that_is_not_what_was_added_is_never_cited(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    corpus = Corpus(tmp_path / "c", hashing_encoder)
    _add(corpus, _article("a", FIRST))
    corpus.close()
    file = tmp_path / "c" / "quoteline.db"
    content = file.read_bytes()
    assert content.count(b"Nobody was hurt.") == 1
    file.write_bytes(content.replace(b"Nobody was hurt.", b"Somebody is hurt"))
    corpus = Corpus(tmp_path / "c", hashing_encoder)
    try:
        with pytest.raises(CorpusDamagedError):
            Checker(corpus).citation(_id("a", 1, FIRST, "Nobody was hurt."))
        with pytest.raises(CorpusDamagedError):
            Answerer(corpus).ask("Was nobody hurt?")
    finally:
        corpus.close()


@given(st.text(min_size=1), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_citations_id_can_be_read_back(name: str, version: int, start: int, length: int) -> None:
    cited = CitationId(name, version, Span(start, start + length))
    assert CitationId.parse(str(cited)) == cited


# Pasted quotes


def test_a_quote_that_stands_is_verbatim_wherever_it_stands(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("b", f"It was Friday. {FIRST}"))
    found = checker.verify("“Nobody   was\nhurt.”")
    assert found.verdict == "verbatim"
    assert sorted(place.quotation.article_id for place in found.places) == ["a", "b"]
    for place in found.places:
        text = corpus.store.record(place.quotation.article_id).article.text
        assert text[place.quotation.start_char : place.quotation.end_char] == "Nobody was hurt."


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(start=st.integers(0, 14), words=st.integers(1, 10))
def test_any_run_of_words_is_verbatim(checker: Checker, start: int, words: int) -> None:
    quote = " ".join(FIRST.split()[start : start + words])
    if any(c.isalnum() for c in quote):
        found = checker.verify(quote)
        assert found.verdict == "verbatim"
        assert found.places[0].quotation.quote == quote


def test_an_altered_quote_is_shown_with_what_was_altered(checker: Checker) -> None:
    told = "The rocket rose at dusk. More than 300 guests saw it from the old harbour."
    [place] = checker.verify(told).places
    assert checker.verify(told).verdict == "altered"
    assert {piece for piece in place.difference if piece.kind != "same"} == {
        Piece("left_out", "dawn"),
        Piece("put_in", "dusk"),
    }
    assert not place.only_form
    assert 0.6 < place.similarity < 1


def test_a_quote_of_other_case_and_punctuation_is_altered_in_form_only(checker: Checker) -> None:
    [place] = checker.verify("the rocket rose at dawn; more than 300 guests saw it from the old harbour").places
    assert place.only_form
    assert (
        checker.verify("the rocket rose at dawn; more than 300 guests saw it from the old harbour").verdict == "altered"
    )


def test_a_quote_of_something_else_is_nowhere(checker: Checker) -> None:
    found = checker.verify("The parliament of Iceland passed the budget after a long debate on fishing.")
    assert (found.verdict, found.places) == ("nowhere", ())


def test_a_quote_of_an_older_version_is_found_there(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("a", SECOND))
    [place] = checker.verify("Nobody was hurt.").places
    assert (place.current, place.quotation.version) == (False, 1)
    assert checker.verify("Nobody was hurt.").verdict == "verbatim"


def test_a_quote_can_be_looked_for_in_one_article_or_in_those_of_a_url(corpus: Corpus, checker: Checker) -> None:
    url = "https://example.org/launch"
    _add(corpus, _article("b", SECOND, url=url), _article("c", f"Look. {SECOND}", url=url))
    assert checker.verify("Nobody was hurt.", article_id="b").verdict == "nowhere"
    assert {one.quotation.article_id for one in checker.verify("The dog slept.", url=url).places} == {"b", "c"}
    for wrong in ({"article_id": "x"}, {"url": "https://example.org/nowhere"}):
        with pytest.raises(ArticleNotFoundError):
            checker.verify("The dog slept.", **wrong)


def test_a_quote_is_looked_for_in_the_given_collections_only(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, _article("b", "The secret rocket rose in the night.", collection="secret"))
    quote = "The secret rocket rose in the night."
    assert checker.verify(quote, collections=["secret"]).verdict == "verbatim"
    assert checker.verify(quote, collections=["default"]).verdict == "nowhere"
    with pytest.raises(ArticleNotFoundError):
        checker.verify(quote, article_id="b", collections=["default"])


def test_a_quote_that_stands_in_more_articles_than_are_ranked_is_found(corpus: Corpus, checker: Checker) -> None:
    _add(corpus, *(_article(f"n{number}", f"Number {number}. To be or not to be.") for number in range(60)))
    assert len(checker.verify("To be or not to be.").places) == 20


@pytest.mark.parametrize("quote", ["", "…", "x" * 5001])
def test_what_is_no_quote_is_refused(checker: Checker, quote: str) -> None:
    with pytest.raises(QuestionError, match="at least one word and at most 5000"):
        checker.verify(quote)


@pytest.fixture
def big(corpus: Corpus) -> Checker:
    _add(corpus, _article("big", "The rocket rose at dawn, and nobody was hurt. " * 2000))
    return Checker(corpus)


def test_a_quote_that_stands_often_in_one_article_is_answered_within_bounds(big: Checker) -> None:
    assert len(big.verify("nobody was hurt").places) == 20
