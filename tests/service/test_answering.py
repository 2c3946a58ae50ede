import pytest

from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import FilterError
from index.store import Filters
from service.answering import Answerer


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


def test_near_identical_sentences_are_cited_once_from_one_article_but_from_each_of_two(corpus: Corpus) -> None:
    _add(corpus, a="The rocket rose at dawn. The rocket rose, at dawn! The dog slept.", b="The rocket rose at dawn.")
    quotes = [(one.article_id, one.quote) for one in Answerer(corpus, perhaps=0).ask("Which rocket rose?").citations]
    assert sorted(quotes) == [
        ("a", "The dog slept."),
        ("a", "The rocket rose at dawn."),
        ("b", "The rocket rose at dawn."),
    ]


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
