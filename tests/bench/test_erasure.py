from pathlib import Path

from bench.erasure import SENTENCES, Trial, Written
from bench.serving import Cited


def test_nothing_of_20_deleted_articles_is_cited_shown_or_kept(tmp_path: Path) -> None:
    trial = Trial(tmp_path, articles=60, watched=0.5)
    trial.run(20, now=True)
    assert trial.found.violations == []
    assert trial.found.deleted == 20
    assert len(trial.found.processes) == 2, "only one process was asked"
    assert trial.found.asks_for_deleted > 20


def test_what_is_still_in_a_file_is_found(tmp_path: Path) -> None:
    trial = Trial(tmp_path, articles=3)
    kept, gone, torn = (Written.number(number) for number in range(3))
    trial.data.mkdir()
    (trial.data / "kept").write_text(f"{kept.id} {' '.join(kept.sentences)}")
    half = gone.sentences[2][: len(gone.sentences[2]) // 2]
    (trial.data / "left").write_bytes(b"\0" + gone.id.encode() + b"\0" + half.encode() + b"\0" + bytes(range(64)))
    trial.search_files([gone.id, torn.id], {"a vector": bytes(range(64))}, [kept.id], {})
    assert [violation.partition(" is still in ")[0][:13] for violation in trial.found.violations] == [
        f"the id {gone.id}"[:13],
        "a sentence of",
        "a vector",
    ]


def test_a_search_that_does_not_find_what_is_there_is_no_proof(tmp_path: Path) -> None:
    trial = Trial(tmp_path, articles=1)
    trial.data.mkdir()
    trial.search_files([], {}, [Written.number(0).id], {})
    [violation] = trial.found.violations
    assert f"of {SENTENCES + 1} things that are there, only 0" in violation


def test_a_citation_is_late_only_if_it_was_asked_for_after_the_deletion(tmp_path: Path) -> None:
    trial = Trial(tmp_path, articles=1)
    article = Written.number(0)
    citation = Cited(f"{article.id}.1.0-5", article.id, 1, 0, 5, "Witne")
    trial.deleted[article.id] = 10.0
    trial.check_cited([citation], 9.0)
    assert trial.found.violations == []
    trial.check_cited([citation], 11.0)
    [violation] = trial.found.violations
    assert "1.000 s after its deletion" in violation
