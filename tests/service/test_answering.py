from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.articles import Article, Span
from index.confidence import OURS, RETRIEVAL, Calibration, calibration_for
from index.corpus import Corpus
from index.errors import FilterError
from index.store import Filters
from index.testing import HashingEncoder, OverlapReader
from service.answering import Answer, Answerer


def _add(corpus: Corpus, **texts: str) -> None:
    for _ in corpus.add([Article(id=name, text=text, body=Span(0, len(text))) for name, text in texts.items()]):
        pass


def test_a_quote_is_the_article_between_its_offsets(corpus: Corpus) -> None:
    _add(corpus, a="🚀 The rocket rose at dawn. Nobody saw it.", b="The dog slept. The rocket was loud.")
    for citation in Answerer(corpus).ask("Where is the rocket?").citations:
        text = corpus.store.record(citation.article_id).article.text
        assert citation.quote == text[citation.start_char : citation.end_char]


def test_citations_are_numbered_in_order_and_at_most_top_k(corpus: Corpus) -> None:
    _add(corpus, a="The red rocket rose. The blue rocket fell. The green rocket burned. The dog slept.")
    answer = Answerer(corpus).ask("Which rocket?", top_k=2)
    assert [citation.n for citation in answer.citations] == [1, 2]


def test_near_identical_sentences_are_one_voice_with_all_their_places(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. The rocket rose, at dawn! The dog slept.", b="The rocket rose at dawn.")
    told = Answerer(corpus, perhaps=0).ask("Which rocket rose?").citations
    assert [one.quote for one in told] == ["The rocket rose at dawn.", "The dog slept."]
    places = {(one.article_id, one.start_char) for one in (told[0], *told[0].places)}
    assert places == {("a", 0), ("a", 25), ("b", 0)}


def test_without_comparing_they_are_cited_once_from_one_article_but_from_each_of_two(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. The rocket rose, at dawn! The dog slept.", b="The rocket rose at dawn.")
    answer = Answerer(corpus, perhaps=0).ask("Which rocket rose?", compare=False)
    assert sorted((one.article_id, one.quote) for one in answer.citations) == [
        ("a", "The dog slept."),
        ("a", "The rocket rose at dawn."),
        ("b", "The rocket rose at dawn."),
    ]
    assert answer.comparison is None
    assert not any(one.places or one.attribution or one.says or one.times for one in answer.citations)


def test_sentences_that_differ_in_one_word_or_in_its_place_are_both_cited(corpus: Corpus) -> None:
    told = "In the long war of this year the army of the north shot down more than 300 drones near the old town."
    texts = [told, told.replace("300", "400"), "Russia attacked Ukraine.", "Ukraine attacked Russia."]
    _add(corpus, a=" ".join(texts))
    cited = Answerer(corpus, perhaps=0).ask("Who attacked, and how many drones did the army shoot down?").citations
    assert {one.quote for one in cited} == set(texts)


def test_sentences_of_a_script_without_spaces_are_all_cited(corpus: Corpus) -> None:
    sentences = [character * 70 + "。" for character in "東西南"]
    _add(corpus, a="".join(sentences))
    assert {one.quote for one in Answerer(corpus, perhaps=0).ask("東?").citations} == set(sentences)


def test_neighbours_are_those_of_the_article_and_none_at_its_edges(corpus: Corpus) -> None:
    _add(corpus, a="The sun rose. The rocket flew. The dog slept.")
    answers = {one.quote: one for one in Answerer(corpus).ask("Which rocket flew when the sun rose?").citations}
    assert (answers["The rocket flew."].before, answers["The rocket flew."].after) == (
        "The sun rose.",
        "The dog slept.",
    )
    assert answers["The sun rose."].before is None


def test_a_citation_names_article_version_and_span(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose.")
    _add(corpus, a="Look! The rocket rose.")
    assert Answerer(corpus).ask("Did the rocket rise?").citations[0].id == "a.2.6-22"


def test_a_question_about_something_else_gets_no_citation_but_what_is_nearest(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. Nobody was hurt.")
    answer = Answerer(corpus).ask("Which cheese is made in Holland?")
    assert answer.verdict == "unanswered"
    assert answer.citations == ()
    assert {one.quote for one in answer.nearest} == {"The rocket rose at dawn.", "Nobody was hurt."}


def test_the_thresholds_decide_the_verdict(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn.")
    question = "Did the rocket rise at dawn?"
    probability = Answerer(corpus).ask(question).probability
    assert Answerer(corpus, answered=probability - 0.01).ask(question).verdict == "answered"
    assert Answerer(corpus, answered=1, perhaps=probability - 0.01).ask(question).verdict == "perhaps"
    assert Answerer(corpus, answered=1, perhaps=probability + 0.01).ask(question).verdict == "unanswered"


def test_an_empty_corpus_and_filters_that_leave_nothing_say_so(corpus: Corpus) -> None:
    assert Answerer(corpus).ask("Why?").reason == "There are no articles yet; add some."
    _add(corpus, a="The rocket rose.")
    answer = Answerer(corpus).ask("Why did the rocket rise?", filters=Filters(article_ids=("b",)))
    assert (answer.verdict, answer.reason) == ("unanswered", "The filters leave no article.")


@pytest.mark.parametrize("top_k", [0, -1, 101])
def test_a_top_k_out_of_range_is_refused(corpus: Corpus, top_k: int) -> None:
    with pytest.raises(FilterError, match="top_k"):
        Answerer(corpus).ask("Why?", top_k=top_k)


# With a reader

OVERLAP = Calibration("overlap", {"logit": 1.0, "fusion": 0.1}, {"order": 1.0, "bias": -1.0}, {"odds": 1.0})
WORDS = "🚀 rocket drones cafe\u0301 guests 👩\u200d🚀 minister denied dawn Kyiv harbour of the nothing".split()  # noqa: SIM905


def _reading(corpus: Corpus, *, depth: int = 4, perhaps: float = 0.12) -> Answerer:
    return Answerer(corpus, reader=OverlapReader(), calibration=OVERLAP, depth=depth, perhaps=perhaps)


def test_the_sentence_that_the_reader_prefers_comes_first_with_its_probability_and_its_part(corpus: Corpus) -> None:
    _add(
        corpus, a="🚀 Look! The rocket rose at dawn. Rocket, rocket, rocket.", b="The dog slept. A guest left at dawn."
    )
    question = "Which rocket rose at dawn?"
    answer = _reading(corpus).ask(question)
    first = answer.citations[0]
    assert first.quote == "The rocket rose at dawn."
    assert answer.probability == first.score == max(one.score for one in answer.citations)
    assert first.part is not None
    assert first.part.text == "rocket rose at dawn"
    assert (first.part.start_utf16 - first.start_utf16, first.part.start_char - first.start_char) == (4, 4)
    assert first.part.start_utf16 == first.part.start_char + 1
    assert set(answer.timings_ms) == {"encode", "search", "score", "read", "cite", "total"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    opened = Corpus(tmp_path_factory.mktemp("library"), HashingEncoder())
    sentences = [" ".join(WORDS[(n * k) % 13] for k in range(1, 8)).capitalize() for n in range(1, 60)]
    _add(
        opened, a=". ".join(sentences) + ".", b="🚀🚀 The rocket denied it. The cafe\u0301 was full of guests at dawn!"
    )
    yield opened
    opened.close()


@given(
    st.lists(st.sampled_from([word for word in WORDS if word[0].isalpha()]), min_size=1, max_size=6), st.integers(1, 60)
)
@settings(max_examples=40, deadline=None)
def test_a_part_is_the_article_between_its_offsets_and_lies_in_its_quote(
    library: Corpus, words: list[str], top_k: int
) -> None:
    answer = _reading(library, perhaps=0).ask(" ".join(words), top_k=top_k)
    for citation in answer.citations:
        if (part := citation.part) is None:
            continue
        text = library.store.record(citation.article_id).article.text
        assert citation.start_char <= part.start_char < part.end_char <= citation.end_char
        assert citation.start_utf16 <= part.start_utf16 < part.end_utf16 <= citation.end_utf16
        assert part.text == text[part.start_char : part.end_char]
        units = text.encode("utf-16-le")[2 * part.start_utf16 : 2 * part.end_utf16]
        assert part.text == units.decode("utf-16-le")


@given(st.lists(st.sampled_from(WORDS[1:3]), min_size=1, max_size=3).map(" ".join), st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_how_many_are_wanted_changes_nothing_about_those_that_are_told(
    library: Corpus, question: str, top_k: int
) -> None:
    few, many = (_reading(library, perhaps=0).ask(question, top_k=k) for k in (top_k, 30))
    assert few.citations == many.citations[:top_k]
    assert len(few.citations) == min(top_k, len(many.citations))
    assert few.probability == many.probability


def test_a_sentence_that_hardly_answers_has_no_part_and_none_has_where_nothing_does(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. The dog slept at noon.")
    question = "What did rise at dawn, the rocket?"
    answered = _reading(corpus, perhaps=0.5).ask(question)
    assert [(one.score >= 0.5, one.part is not None) for one in answered.citations] == [(True, True), (False, False)]
    assert all(one.part for one in _reading(corpus, perhaps=0).ask(question).citations)
    unanswered = _reading(corpus, perhaps=1).ask(question)
    assert unanswered.citations == ()
    assert [one.part for one in unanswered.nearest] == [None, None]


def test_no_part_is_told_of_a_sentence_of_a_question_that_nothing_answers(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn.")
    doubting = Calibration("overlap", OVERLAP.order, OVERLAP.sentence, {"bias": -9.0})
    answer = Answerer(corpus, reader=OverlapReader(), calibration=doubting).ask("Did the rocket rise at dawn?")
    assert answer.nearest[0].score > 0.5
    assert answer.nearest[0].part is None


def _verdicts(answerer: Answerer, **questions: str) -> dict[str, tuple[str, str]]:
    answers: dict[str, Answer] = {name: answerer.ask(question) for name, question in questions.items()}
    return {name: (answer.verdict, answer.reason) for name, answer in answers.items()}


def test_why_nothing_answers_is_told_apart(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn over the harbour of Kyiv. Nobody was hurt.")
    verdicts = _verdicts(
        _reading(corpus, perhaps=0.5),
        answered="Did the rocket rise at dawn?",
        about="Who denied the rocket?",
        else_="Which cheese is made in Holland?",
    )
    assert verdicts == {
        "answered": ("answered", "The first sentence is likely to answer."),
        "about": ("unanswered", "Nothing here answers that: something is about it, but no sentence answers."),
        "else_": ("unanswered", "Nothing here answers that: nothing is about it."),
    }


def test_nothing_answers_in_an_empty_corpus_however_low_the_threshold(corpus: Corpus) -> None:
    answer = _reading(corpus, perhaps=0).ask("Why?")
    assert (answer.verdict, answer.reason) == ("unanswered", "There are no articles yet; add some.")


def test_a_reader_that_reads_nothing_is_none(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. The dog slept. Dawn came.")
    question = "Which rocket rose?"
    without, idle = Answerer(corpus), Answerer(corpus, reader=OverlapReader(), depth=0)
    assert (without.reader_name, idle.reader_name, _reading(corpus).reader_name) == (None, None, "overlap")
    assert replace(without.ask(question), timings_ms={}) == replace(idle.ask(question), timings_ms={})
    assert "read" not in idle.ask(question).timings_ms


def test_the_calibration_is_the_one_shipped_for_the_reader_unless_one_is_given(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn.")
    for name, calibration in (("overlap", calibration_for("overlap")), (OURS.reader, OURS), ("", RETRIEVAL)):
        reader = OverlapReader(name=name) if name else None
        shipped, given_ = (Answerer(corpus, reader=reader, calibration=one) for one in (None, calibration))
        assert shipped.ask("Which rocket?").probability == given_.ask("Which rocket?").probability
    silent, certain = (Calibration("", {}, {}, {"bias": bias}) for bias in (-9.0, 9.0))
    assert Answerer(corpus, calibration=silent).ask("Which rocket?").probability < 0.001
    assert Answerer(corpus, calibration=certain).ask("Which rocket?").probability > 0.999


def test_what_is_told_once_makes_room_for_what_else_was_ranked(corpus: Corpus) -> None:
    same = " ".join(f"The rocket rose at dawn{mark}" for mark in "!?.!?.!?.")
    _add(corpus, a=f"{same} The dog slept. The cat slept.")
    quotes = [one.quote for one in _reading(corpus, perhaps=0).ask("Did the rocket rise at dawn?", top_k=3).citations]
    assert quotes[0].startswith("The rocket rose at dawn")
    assert sorted(quotes[1:]) == ["The cat slept.", "The dog slept."]
