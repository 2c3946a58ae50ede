from pathlib import Path

import pytest

from bench.datasets import Dataset, Query, Target
from bench.metrics import Place
from bench.scale.corpora import Corpora, add, adding_rate, disk_of, opened
from bench.scale.generate import Material, whole
from bench.scale.quality import Searching, hits_of, recall_of
from bench.scale.vectors import MixingEncoder, load_vectors
from index.articles import Span
from index.errors import InputError
from index.testing import HashingEncoder

LAMP = whole("lamp", "Lamps", "The lamp hangs over the old harbour. It was lit in 1911 by the keeper.")
SENTENCES = tuple(f"Some ferry number {number} crossed the wide river {number % 7} times." for number in range(80))


@pytest.fixture
def material() -> Material:
    place = Place("lamp", Span(37, len(LAMP.text)))
    query = Query("q", "Who lit the lamp of the keeper in 1911?")
    asked = Dataset("asked", Path("corpus.jsonl"), (LAMP,), (), (query,), {"q": Target((place,))}, True)
    return Material(asked, (LAMP,), SENTENCES, ("Ferries", ""), ("Where does the ferry cross?", "What hangs there?"))


@pytest.fixture
def encoder(tmp_path: Path) -> MixingEncoder:
    real = HashingEncoder()
    return MixingEncoder(real, SENTENCES, load_vectors(real, SENTENCES, tmp_path / "vectors"))


@pytest.fixture
def corpora(tmp_path: Path, material: Material, encoder: MixingEncoder) -> Corpora:
    return Corpora(tmp_path / "corpora", material, encoder)


def passages_in(corpora: Corpora, size: int, encoder: MixingEncoder) -> int:
    with opened(corpora.corpus(size), encoder) as corpus:
        return corpus.store.counts()[2]


def test_a_corpus_has_exactly_its_size_and_grows_from_a_smaller_one(corpora: Corpora, encoder: MixingEncoder) -> None:
    small, large = corpora.build(10), corpora.build(25)
    assert (small.passages, large.passages) == (10, 25)
    # The real articles are encoded, too, and do not count.
    assert (small.added, large.added) == (9, 15)
    assert [passages_in(corpora, size, encoder) for size in (10, 25)] == [10, 25]


def test_a_complete_corpus_is_used_again_and_another_one_is_not(
    corpora: Corpora, material: Material, encoder: MixingEncoder, tmp_path: Path
) -> None:
    built = corpora.build(10)
    assert corpora.build(10) == built
    others = Material(material.asked, material.real, SENTENCES[:40], material.titles, material.questions)
    assert Corpora(tmp_path / "corpora", others, encoder).built(10) is None
    (corpora.data(10) / "built.json").write_text("{")
    assert corpora.built(10) is None


def test_what_was_left_by_a_break_is_built_anew(corpora: Corpora, encoder: MixingEncoder) -> None:
    corpora.build(10)
    (corpora.data(10) / "built.json").unlink()
    corpora.build(10)
    assert passages_in(corpora, 10, encoder) == 10


def test_the_evidence_is_found_and_so_is_its_passage(
    corpora: Corpora, material: Material, encoder: MixingEncoder
) -> None:
    corpora.build(20)
    with opened(corpora.corpus(20), encoder) as corpus:
        searching = Searching(corpus)
        [query] = material.asked.queries
        assert hits_of(material.asked, [searching.sentences(query.text)]).hit_1 == 1
        assert hits_of(material.asked, [searching.passages(query.text)]).hit_1 == 1
        assert hits_of(material.asked, [[]]).hit_10 == 0
        assert recall_of(corpus, material.questions) == 1


def test_measuring_the_rate_of_adding_leaves_the_corpus_as_it_was(
    corpora: Corpora, material: Material, encoder: MixingEncoder
) -> None:
    corpora.build(10)
    assert adding_rate(corpora.corpus(10), HashingEncoder(), material, 5) > 0
    assert passages_in(corpora, 10, encoder) == 10
    assert [path.name for path in corpora.data(10).iterdir() if path.name.startswith("adding-")] == []


def test_every_byte_of_a_corpus_is_counted_once(corpora: Corpora) -> None:
    corpora.build(10)
    disk = disk_of(corpora.corpus(10))
    assert disk.total == sum(path.stat().st_size for path in corpora.corpus(10).rglob("*") if path.is_file())
    assert disk.database > 0
    assert disk.lexical > 0
    assert disk.vectors > 0


def test_an_article_that_is_not_added_ends_the_run(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "corpus", HashingEncoder()) as corpus,
        pytest.raises(InputError, match=r"lamp was to be added, and is unchanged"),
    ):
        add(corpus, [LAMP, LAMP])


def test_a_disk_that_is_too_small_is_found_out_beforehand(corpora: Corpora) -> None:
    with pytest.raises(InputError, match="GB free"):
        corpora.check_space([10**12])
    corpora.check_space([10])
