import io
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.datasets import Dataset, Query, Target
from bench.metrics import Place
from bench.scale.corpora import opened
from bench.scale.generate import Questions, whole
from bench.scale.peers.comparing import BLOCK, CLIENTS, TURNS, ask_in_turns, hits_of_peer
from bench.scale.peers.passages import Given, write_passages
from bench.scale.peers.protocol import Passage, Start, answer_all
from bench.scale.peers.running import FOLDER, PEERS, Asked, PeerError, PeerProcess, environment_of
from index.articles import Span
from index.testing import HashingEncoder


class Echo:
    """Finds the passages whose text holds the question."""

    notes = "echoes"
    packages = ("numpy",)

    def __init__(self, start: Start) -> None:
        self.start = start
        self.passages: list[Passage] = []

    def add(self, passages: Sequence[Passage], vectors: Any) -> None:  # noqa: ANN401 - the protocol's
        assert vectors is None or len(vectors) == len(passages)
        self.passages += passages

    def ask(self, question: str, k: int) -> list[str]:
        if question == "fail":
            raise RuntimeError("cannot answer that")
        return [one.id for one in self.passages if question in one.text][:k]


def tell(*jobs: dict[str, Any]) -> list[dict[str, Any]]:
    answers = io.StringIO()
    answer_all(Echo, io.StringIO("".join(json.dumps(job) + "\n" for job in jobs)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


START = {"do": "start", "model": "folder", "half": False, "size": 3}
ASK = {"do": "ask", "k": 2, "clients": 1, "seconds": 10}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "passages.jsonl"
    rows = [{"id": str(number), "text": text} for number, text in enumerate(("lamp", "mill and lamp", "fair"))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("clients", [1, 3])
def test_ids_come_in_the_order_of_the_questions(texts: Path, clients: int) -> None:
    add = {"do": "add", "passages": str(texts), "vectors": None}
    told = tell(START, add, {**ASK, "questions": ["mill", "lamp", "fair", "none"] * 20, "clients": clients})
    assert told[0]["notes"] == "echoes"
    assert told[0]["versions"] == {"numpy": np.__version__}
    assert told[1]["seconds"] >= 0
    assert told[2]["ids"] == [["1"], ["0", "1"], ["2"], []] * 20
    assert len(told[2]["milliseconds"]) == 80


def test_vectors_are_handed_in_from_their_file(texts: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4), dtype=np.float32))
    assert "seconds" in tell(START, {"do": "add", "passages": str(texts), "vectors": str(tmp_path / "vectors.npy")})[1]


def test_what_fails_is_told_and_ends_nothing(texts: Path) -> None:
    add = {"do": "add", "passages": str(texts), "vectors": None}
    told = tell(ASK, START, add, {**ASK, "questions": ["fail"]}, {**ASK, "questions": ["lamp"]}, {"do": "memory"})
    assert told[0] == {"error": "not started"}
    assert told[3] == {"error": "RuntimeError: cannot answer that"}
    assert told[4]["ids"] == [["0", "1"]]
    assert told[5]["resident"] > 1e6


def test_no_question_is_asked_when_the_time_is_over(texts: Path) -> None:
    assert tell(START, {**ASK, "questions": ["lamp"], "seconds": 0})[1]["ids"] == []


@dataclass
class Fake:
    """A system that answers everything at once, and is broken after so many blocks."""

    name: str
    lasting: int = 10**6
    asked: list[str] = field(default_factory=list)
    ids: tuple[str, ...] = ("1", "0")

    def ask(self, questions: Sequence[str], *, k: int, clients: int, seconds: float) -> Asked:
        self.lasting -= 1
        if self.lasting < 0:
            raise PeerError(f"{self.name} is broken")
        self.asked += questions
        return Asked(2.0, tuple(float(clients) for _ in questions), tuple(self.ids for _ in questions))

    def resident(self) -> int:
        return 7


def test_all_systems_are_asked_the_same_questions_and_none_twice() -> None:
    systems = [Fake("a"), Fake("b")]
    figures = ask_in_turns(systems, Questions([f"question {number}?" for number in range(2000)]))
    assert systems[0].asked == systems[1].asked
    assert len(set(systems[0].asked)) == len(systems[0].asked) == 8 + len(CLIENTS) * BLOCK * TURNS
    assert figures["a"].rates == dict.fromkeys(CLIENTS, BLOCK / 2.0)
    assert figures["a"].milliseconds == (1.0,) * (BLOCK * TURNS)
    assert figures["a"].resident == 7


@pytest.mark.parametrize("lasting", [0, 3, 8])
def test_a_system_that_breaks_has_no_figures_and_the_others_have_theirs(lasting: int) -> None:
    systems = [Fake("weak", lasting), Fake("strong")]
    figures = ask_in_turns(systems, Questions([f"question {number}?" for number in range(2000)]))
    assert figures["weak"].failed == "weak is broken"
    assert figures["weak"].best_rate == 0
    assert figures["strong"].best_rate == BLOCK / 2.0


def test_a_passage_that_holds_the_evidence_is_a_hit() -> None:
    queries = tuple(Query(str(number), f"question {number}?") for number in range(2))
    places = (Place("a", Span(0, 50)), Place("b", Span(0, 50)))
    targets = {"0": Target((Place("b", Span(10, 20)),)), "1": Target((Place("a", Span(10, 20)),))}
    asked = Dataset("asked", Path("corpus.jsonl"), (), (), queries, targets, True)
    hits, count = hits_of_peer(Fake("a"), asked, Given(Path("texts"), None, places))
    assert (count, hits.hit_1, hits.hit_5, hits.mrr_10) == (2, 0.5, 1.0, 0.75)


def test_peers_are_given_the_passages_that_a_corpus_holds(tmp_path: Path) -> None:
    articles = [whole(f"a{number}", "Lamps", f"The lamp hangs in hall {number}. " * 40) for number in range(3)]
    with opened(tmp_path / "corpus", HashingEncoder()) as corpus:
        outcomes = list(corpus.add(articles))
        given = write_passages(corpus, articles, tmp_path, encoded=True)
        assert len(outcomes) == 3
        assert len(given.places) == corpus.store.counts()[2] > 3
        assert given.vectors is not None
        np.testing.assert_array_equal(np.load(given.vectors).shape, (len(given.places), corpus.encoder.dim))
    rows = [json.loads(line) for line in given.texts.read_text().splitlines()]
    texts = {article.id: article.text for article in articles}
    for row, place in zip(rows, given.places, strict=True):
        assert row["text"] == f"Lamps\n{place.span.of(texts[place.article_id])}"
    assert given.found(["1", "0"]) == [given.places[1], given.places[0]]


def test_every_peer_has_a_script_and_a_pinned_list_with_torch_first() -> None:
    for name in PEERS:
        assert (FOLDER / f"{name}.py").is_file()
        packages = (FOLDER / f"{name.partition('_')[0]}.txt").read_text().split()
        assert packages[0].startswith("torch==")
        assert all(package.count("==") == 1 for package in packages)


def test_a_process_that_does_not_end_by_itself_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(self: subprocess.Popen[str], timeout: float) -> None:
        raise subprocess.TimeoutExpired("a peer", timeout)

    python = environment_of("quoteline", tmp_path)
    with PeerProcess("nobody", python, tmp_path / "log", environment={"PATH": "/usr/bin"}) as peer:
        monkeypatch.setattr(subprocess.Popen, "communicate", hang)
    assert peer.exit_code is not None


def test_a_process_that_ends_is_an_error_that_says_what_it_said(tmp_path: Path) -> None:
    # There is no such module.
    environment = {"PATH": "/usr/bin"}
    with (
        PeerProcess("nobody", environment_of("quoteline", tmp_path), tmp_path / "log", environment=environment) as peer,
        pytest.raises(PeerError, match=r"(?s)nobody cannot start.*No module named"),
    ):
        peer.start("folder", half=False, size=1)
