import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import lexical
from index.derived import State
from index.errors import CorpusBusyError, CorpusDamagedError, CorpusError
from index.lexical import ENOUGH, FACTOR, FEWEST, MOST, LexicalIndex, LexicalReader, analyze, worth_merging

STATE = State("a store", 1)
WORDS = ["drone", "weapon", "minister", "call", "iran", "russia", "deny", "send", "friday", "attack", "city", "water"]


def filled(folder: Path, texts: Mapping[int, str]) -> LexicalReader:
    index = LexicalIndex.open(folder)
    index.change(add=texts.items(), remove=[], state=STATE)
    return index.reader()


def found(reader: LexicalReader, question: str, k: int = 10) -> list[int]:
    return [neighbour.key for neighbour in reader.search(analyze(question), k)]


# Terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Drones, drone; DRONE!", ["drone", "drone", "drone"]),
        ("he denied sending weapons", ["he", "deni", "send", "weapon"]),
        ("Bogota\u0301 Bogotá BOGOTA", ["bogota"] * 3),
        ("ﬁre ２０２２ ①", ["fire", "2022", "1"]),
        ("U.S. a-b it's", ["u", "s", "a", "b", "it", "s"]),
        ("👩\u200d👩\u200d👧 — …", []),
        ("", []),
        ("x" * 65 + " short", ["short"]),
    ],
)
def test_terms_are_words_without_case_accents_or_endings(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


@given(st.text())
def test_terms_of_terms_need_no_order_of_case_or_form(text: str) -> None:
    assert all(term and not any(map(str.isspace, term)) for term in analyze(text))
    assert analyze(text) == analyze(f" {text}\n")


# Search


def test_words_of_the_question_find_the_passages_that_hold_them(tmp_path: Path) -> None:
    reader = filled(tmp_path, {1: "Iran denies it.", 2: "The minister called.", 3: "Drones from Iran; Iran!"})
    assert found(reader, "Iran?") == [3, 1]
    assert found(reader, "did the minister deny") == [2, 1]
    assert found(reader, "oranges") == []
    assert found(reader, "…") == []
    assert found(reader, "iran", k=1) == [3]
    assert reader.search(["iran"], 0) == []


def naive_bm25(texts: Mapping[int, str], terms: list[str]) -> dict[int, float]:
    """BM25 as Lucene and tantivy have it: k1 1.2, b 0.75, and an idf that is never negative."""
    bags = {key: Counter(analyze(text)) for key, text in texts.items()}
    mean = sum(bag.total() for bag in bags.values()) / (len(bags) + 1)  # the state is a document, an empty one
    scores = {}
    for key, bag in bags.items():
        score = 0.0
        for term in dict.fromkeys(terms):
            frequency = sum(term in other for other in bags.values())
            idf = math.log1p((len(bags) + 1 - frequency + 0.5) / (frequency + 0.5))
            score += idf * bag[term] * 2.2 / (bag[term] + 1.2 * (0.25 + 0.75 * bag.total() / mean))
        scores[key] = score
    return {key: score for key, score in scores.items() if score}


def test_scores_are_bm25(tmp_path: Path) -> None:
    draw = random.Random(1)
    # At most 20 words: tantivy stores longer lengths rounded.
    texts = {key: " ".join(draw.choices(WORDS, k=draw.randint(3, 20))) for key in range(60)}
    reader = filled(tmp_path, texts)
    for question in ("iran drone", "weapon weapon minister call", "city attack water friday"):
        wanted = naive_bm25(texts, analyze(question))
        scores = {neighbour.key: neighbour.score for neighbour in reader.search(analyze(question), 60)}
        assert scores == pytest.approx(wanted, rel=1e-4)


def test_best_comes_first_and_ties_go_by_key(tmp_path: Path) -> None:
    reader = filled(tmp_path, {9: "iran iran", 7: "iran drone", 3: "iran drone", 5: "iran drone"})
    assert found(reader, "iran drone") == [3, 5, 7, 9]


def test_among_keeps_the_scores_and_leaves_others_out(tmp_path: Path) -> None:
    reader = filled(tmp_path, {key: "iran drone" if key % 2 else "iran weapon sent" for key in range(1, 9)})
    all_of_them = {one.key: one.score for one in reader.search(["iran", "drone"], 10)}
    some = reader.search(["iran", "drone"], 10, among=np.array([2, 3, 5, 77]))
    assert [one.key for one in some] == [3, 5, 2]
    assert all(one.score == pytest.approx(all_of_them[one.key]) for one in some)
    assert reader.search(["iran"], 10, among=np.array([], dtype=np.int64)) == []


@given(st.sets(st.integers(0, 400)), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_among_many_keys_finds_what_among_few_does(
    tmp_path_factory: pytest.TempPathFactory, among: set[int], k: int
) -> None:
    rng = random.Random(3)
    texts = {key: " ".join(rng.choices(WORDS, k=rng.randint(2, 9))) for key in range(0, 400, 3)}
    reader = filled(tmp_path_factory.mktemp("lexical"), texts)
    keys = np.array(sorted(among), dtype=np.int64)
    few = reader.search(["iran", "drone"], k, among=keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "FEW_KEYS", 0)
        assert reader.search(["iran", "drone"], k, among=keys) == few


# Changes


def test_a_removed_passage_is_found_no_more_and_keys_are_told(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    index.change(add=[(1, "iran"), (2**62, "iran drone")], remove=[], state=STATE)
    index.change(add=[(3, "iran again")], remove=[1, 99], state=State("a store", 2))
    reader = index.reader()
    assert (reader.keys(), len(reader)) == ([3, 2**62], 2)
    assert set(found(reader, "iran")) == {3, 2**62}


def test_the_state_is_the_last_one_recorded_and_survives_opening(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    assert (index.state(), len(index.reader()), index.reader().keys()) == (None, 0, [])
    for generation in range(1, 6):
        index.change(add=[(generation, "iran")], remove=[], state=State("a store", generation))
    assert LexicalIndex.open(tmp_path).state() == State("a store", 5)
    assert len(LexicalIndex.open(tmp_path).reader()) == 5


def test_the_state_is_never_found(tmp_path: Path) -> None:
    reader = filled(tmp_path, {1: "state of the art"})
    assert found(reader, "state") == [1]
    assert found(reader, "store") == []


def test_a_reader_stays_as_it_is_while_the_index_goes_on(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    index.change(add=[(1, "iran")], remove=[], state=STATE)
    before = index.reader()
    index.change(add=[(2, "iran")], remove=[1], state=State("a store", 2))
    assert (found(before, "iran"), before.state()) == ([1], STATE)
    assert found(index.reader(), "iran") == [2]


def test_a_change_that_breaks_leaves_nothing_and_no_lock(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    index.change(add=[(1, "iran")], remove=[], state=STATE)

    def broken() -> Iterator[tuple[int, str]]:
        yield 2, "iran"
        raise RuntimeError("the store broke")

    with pytest.raises(RuntimeError, match="broke"):
        index.change(add=broken(), remove=[1], state=State("a store", 2))
    assert (index.state(), index.reader().keys()) == (STATE, [1])
    index.change(add=[(3, "iran")], remove=[], state=State("a store", 3))
    assert index.reader().keys() == [1, 3]


def test_two_writers_at_a_time_are_refused_by_name(tmp_path: Path) -> None:
    index, other = LexicalIndex.open(tmp_path), LexicalIndex.open(tmp_path)

    def nested() -> Iterator[tuple[int, str]]:
        with pytest.raises(CorpusBusyError, match="another process"):
            other.change(add=[], remove=[], state=STATE)
        yield 1, "iran"

    index.change(add=nested(), remove=[], state=STATE)
    assert index.reader().keys() == [1]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.lists(st.sampled_from(WORDS[:6]), min_size=1, max_size=4), max_size=4), st.randoms()),
        max_size=4,
    )
)
def test_frequencies_and_keys_are_those_of_what_is_held(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[list[str]], random.Random]]
) -> None:
    index = LexicalIndex.open(tmp_path_factory.mktemp("lexical"))
    held: dict[int, list[str]] = {}
    key = 0
    for generation, (texts, draw) in enumerate(steps):
        removed = draw.sample(sorted(held), k=len(held) // 2)
        new = {key + place: text for place, text in enumerate(texts)}
        key += len(texts)
        index.change(add=[(k, " ".join(text)) for k, text in new.items()], remove=removed, state=State("a", generation))
        held = {k: text for k, text in {**held, **new}.items() if k not in removed}
    reader = index.reader()
    assert reader.keys() == sorted(held)
    for word in WORDS[:6]:
        [term] = analyze(word)
        holding = {k for k, text in held.items() if word in text}
        assert {one.key for one in reader.search([term], 100)} == holding
        # A removed passage counts until its segment is merged.
        assert reader.frequencies([term])[0] >= len(holding)


# Damage


def test_a_folder_that_holds_something_else_is_damage(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(CorpusDamagedError, match="quoteline rebuild"):
        LexicalIndex.open(tmp_path)
    LexicalIndex.erase(tmp_path)
    assert LexicalIndex.open(tmp_path).reader().keys() == []


def test_missing_segments_are_damage(tmp_path: Path) -> None:
    filled(tmp_path, {1: "iran"})
    for path in tmp_path.iterdir():
        if path.suffix in {".idx", ".store", ".term", ".fast"}:
            path.unlink()
    with pytest.raises(CorpusDamagedError):
        LexicalIndex.open(tmp_path)


@pytest.mark.parametrize("name", ["meta.json", ".managed.json"])
def test_a_changed_list_of_segments_is_damage(tmp_path: Path, name: str) -> None:
    # One digit of the number of documents ends the process in the next change.
    filled(tmp_path, dict.fromkeys(range(1, 30), "iran"))
    content = (tmp_path / name).read_bytes()
    for place in range(0, len(content), len(content) // 20):
        (tmp_path / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CorpusDamagedError):
            LexicalIndex.open(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert LexicalIndex.open(tmp_path).state() == STATE


def test_an_index_whose_writer_was_killed_before_the_seal_is_used_on(tmp_path: Path) -> None:
    filled(tmp_path, {1: "iran"})
    (tmp_path / "seal").unlink()
    index = LexicalIndex.open(tmp_path)
    assert index.state() == STATE
    index.change(add=[(2, "iran")], remove=[], state=State("a store", 2))
    assert (tmp_path / "seal").exists()
    assert LexicalIndex.open(tmp_path).reader().keys() == [1, 2]


def test_a_change_that_breaks_is_no_damage(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    index.change(add=[(1, "iran")], remove=[], state=STATE)

    def broken() -> Iterator[tuple[int, str]]:
        yield 2, "iran"
        raise RuntimeError("the store broke")

    with pytest.raises(RuntimeError) as caught:
        index.change(add=broken(), remove=None, state=State("a store", 2))
    assert LexicalIndex.open(tmp_path).reader().keys() == [1]
    # The error is still held, as a log or a debugger would: that must not hold the lock.
    index.change(add=[(3, "iran")], remove=[], state=State("a store", 3))
    assert caught.value.args == ("the store broke",)
    assert LexicalIndex.open(tmp_path).reader().keys() == [1, 3]


def test_what_is_built_anew_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    for generation in range(1, 6):
        index.change(add=[(generation, f"zanzibar{generation} iran")], remove=[], state=State("a store", generation))
    before = index.reader()
    index.change(add=[(5, "iran")], remove=None, state=State("a store", 6))
    index.erase_leftovers()
    assert not [path for path in tmp_path.iterdir() if b"zanzibar" in path.read_bytes()]
    # Who was reading goes on.
    assert found(before, "zanzibar3") == [3]
    assert (index.reader().keys(), index.reader().frequencies(["zanzibar3", "iran"])) == ([5], [0, 1])
    assert LexicalIndex.open(tmp_path).reader().keys() == [5]


def test_files_that_another_process_wrote_and_tantivy_forgot_are_erased(tmp_path: Path) -> None:
    index, other = LexicalIndex.open(tmp_path), LexicalIndex.open(tmp_path)
    other.change(add=[(1, "zanzibar")], remove=[], state=STATE)
    index.change(add=[(2, "iran")], remove=None, state=State("a store", 2))
    index.erase_leftovers()
    segments = {path.stem for path in tmp_path.glob("*.term")}
    assert len(segments) == 1
    assert {path.stem for path in tmp_path.glob("*.idx")} == segments
    assert LexicalIndex.open(tmp_path).reader().keys() == other.reader().keys() == [2]


def test_a_folder_that_cannot_be_made_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="the lexical index cannot be written"):
        LexicalIndex.open(tmp_path / "file" / "below")


def test_erasing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    LexicalIndex.erase(tmp_path / "nothing")
    shutil.rmtree(tmp_path)
    LexicalIndex.erase(tmp_path)


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    index = LexicalIndex.open(tmp_path)
    index.change(add=[(1, "lamp"), (2, "boat")], remove=[], state=State("s", 1))
    meta = json.loads((tmp_path / "meta.json").read_bytes())
    # tantivy names a file of deletions by its segment and the number of the next operation, and writes it just once.
    for segment in meta["segments"]:
        for opstamp in range(meta["opstamp"], meta["opstamp"] + 20):
            (tmp_path / f"{segment['segment_id'].replace('-', '')}.{opstamp}.del").write_bytes(b"half")
    LexicalIndex.open(tmp_path).change(add=[], remove=[1], state=State("s", 2))
    assert index.reader().keys() == [2]


@given(sizes=st.lists(st.integers(1, 200_000), max_size=30))
def test_only_many_segments_of_like_size_are_worth_merging(sizes: list[int]) -> None:
    chosen = worth_merging(sizes)
    assert len(sizes) > ENOUGH or not chosen
    if chosen:
        assert len(set(chosen)) == len(chosen) >= FEWEST
        ordered = sorted(sizes[place] for place in chosen)
        assert sum(ordered) <= MOST
        assert all(size <= FACTOR * sum(ordered[:place]) for place, size in enumerate(ordered) if place)


def test_segments_as_they_come_about_become_few() -> None:
    sizes = [50_326, 50_171, 39_959, 32_480, 25_631, 21_861, 18_167, 14_332, 11_642, 10_730, 9092, 7617, 6567, 1439]
    while chosen := worth_merging(sizes):
        together = sum(sizes[place] for place in chosen)
        sizes = [*(size for place, size in enumerate(sizes) if place not in chosen), together]
    assert len(sizes) <= ENOUGH
