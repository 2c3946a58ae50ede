import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.values import differ, same_words, values_in


def _values(text: str) -> list[tuple[str, str, float | None]]:
    return [(value.span.of(text), value.about, value.number) for value in values_in(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It has shot down more than 300 Russian drones within months.", ("more than 300", "drone", 300)),
        ("Russia ordered an estimated 2,400 kamikaze drones, he said.", ("an estimated 2,400", "drone", 2400)),
        ("The town has 3.5 million people.", ("3.5 million", "person", 3.5e6)),
        ("Dmytro Kuleba said he had called.", ("Dmytro Kuleba", "kuleba", None)),
        ("Ukraine's Foreign Minister, Dmytro Kuleba, received a call.", ("Dmytro Kuleba", "kuleba", None)),
        (
            "Iranian Foreign Minister Hossein Amir-Abdollahian left.",
            ("Hossein Amir-Abdollahian", "amirabdollahian", None),
        ),
        ("He met President Emmanuel Macron in Paris.", ("Emmanuel Macron", "macron", None)),
    ],
)
def test_counted_things_and_people_are_found(text: str, found: tuple[str, str, float | None]) -> None:
    assert _values(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "In 2022 it ended.",
        "It took 12 days and 3 hours.",
        "He is 34, and lives at 10 Downing Street.",
        "The price rose 5% to $300.",
        "New York Times reporters met in North Carolina.",
        "The Shahed-136 drones flew at 10:30.",
        "World War II began.",
    ],
)
def test_where_it_is_not_plain_what_a_value_is_of_none_is_found(text: str) -> None:
    assert _values(text) == []


def _differ(one: str, other: str) -> bool:
    return any(differ(a, b, one, other) for a in values_in(one) for b in values_in(other))


def test_other_numbers_of_the_same_things_differ_and_rounded_ones_do_not() -> None:
    assert _differ("He saw more than 300 drones there.", "She saw 2,400 drones there.")
    assert not _differ("He saw 2,400 drones there.", "She saw about 2,398 drones there.")
    assert not _differ("He saw 300 drones there.", "She saw 2,400 tanks there.")


def test_other_given_names_of_one_family_name_differ_and_short_forms_do_not() -> None:
    assert _differ("John Kuleba tweeted it.", "The minister, Dmytro Kuleba, left.")
    assert not _differ("Tim Cook said it.", "Timothy Cook said it.")
    assert not _differ("Joe Biden said it.", "President Joe R. Biden said it.")
    assert not _differ("John Kuleba said it.", "John Kerry said it.")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dmytro Kuleba", "Kuleba"),
        ("3,559 people", "3,559"),
        ("the Russian army", "Russian army"),
        ("Amir-Abdollahian", "Amirabdollahian"),
        ("Hossein Amir Abdollahian", "Hossein Amir-Abdollahian"),
        ("Abdollahian", "Abdolahian"),
        ("5 March 1999", "March 1999"),
        ("?", "?"),
    ],
)
def test_one_answer_written_two_ways_is_one(one: str, other: str) -> None:
    assert same_words(one, other)
    assert same_words(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("John Kuleba", "Dmytro Kuleba"), ("1856", "1900"), ("3,559", "13,559"), ("Paris", "Rome"), ("?", "!")],
)
def test_two_answers_are_two(one: str, other: str) -> None:
    assert not same_words(one, other)


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["300", "drones", "Dmytro", "Kuleba", "said", ",", "more", "than", "2,4"])).map(" ".join)
)
def test_values_lie_in_the_text_and_none_differs_from_itself(text: str) -> None:
    for value in values_in(text):
        assert value.span.of(text)
        assert value.span.end <= len(text)
        assert not differ(value, value, text, text)
    assert same_words(text, text)
