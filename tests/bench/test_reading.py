from pathlib import Path

import pytest

from bench.datasets import Query, Target
from bench.metrics import Place
from bench.quality import corpus_of, measure, search_ours
from bench.reading import (
    Kind,
    Reply,
    figures_of,
    halves,
    kind_of,
    measure_depths,
    measure_reading,
    plot,
    render_depths,
    render_reading,
)
from index.articles import Span
from index.confidence import RETRIEVAL, Calibration
from index.errors import InputError
from index.ranking import Ranker
from index.testing import HashingEncoder, OverlapReader
from tests.bench.test_asking import made

CALIBRATION = Calibration(
    "overlap", {"logit": 1.0, "fusion": 0.1}, {"order": 1.0, "bias": -3.0}, {"odds": 1.0, "bias": 0.0}
)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who denied it?", "who"),
        ("Whose drones were shot down?", "who"),
        ("To whom did he speak?", "who"),
        ("Who's the minister?", "who"),
        ("When did he speak?", "when"),
        ("In what year was it built?", "when"),
        ("Where did blackouts happen?", "where"),
        ("In which city was he born?", "where"),
        ("How many drones were ordered?", "how many"),
        ("How old is she?", "how many"),
        ("How did Kyiv punish the envoy?", "how"),
        ("Why did the lights go out?", "why"),
        ("For what reason did they leave?", "why"),
        ("What is the main reason for it?", "what"),
        ("Which newspaper reported it?", "what"),
        ("What did he do when he left?", "what"),
        ("Did Iran deny sending drones?", "yes or no"),
        ("Isn’t it true?", "yes or no"),
        ("Is it known who did it?", "yes or no"),
        ("Can you tell me who did it?", "who"),
        ("When the war ended, who was the king?", "who"),
        ("When, and where, did it happen?", "where"),
        ("1 in 5 million people have it.", "statement"),
        ("The capital of France?", "other"),
        ("?", "other"),
    ],
)
def test_the_kind_of_a_question_is_told_by_its_words(question: str, kind: Kind) -> None:
    assert kind_of(question) == kind


def reply(
    rank: int | None, *, text: str = "Who?", probability: float = 0.5, part: str | None = None, answerable: bool = True
) -> Reply:
    target = Target((Place("a", Span(0, 5)),)) if answerable else None
    return Reply(
        query=Query(text, text, ("the Lake",)),
        target=target,
        answerable=answerable,
        rank=rank,
        fused=2,
        part=part,
        probability=probability,
        read=2,
        timings={"encode": 1.0, "read": 10.0, "total": 11.0},
    )


def test_figures_of_replies() -> None:
    replies = [
        reply(1, part="Lake", probability=0.9),
        reply(2, part="a lake house", probability=0.8),
        reply(None, text="Did he?", probability=0.2),
        reply(None, probability=0.1, answerable=False),
    ]
    found = figures_of(replies, [reply(None, probability=0.1)], reader="r", depth=4)
    assert (found.questions, found.with_evidence) == (4, 3)
    assert [found.ranks.hit_1, found.fused.hit_1, found.fused.hit_5] == pytest.approx([1 / 3, 0.0, 1.0])
    assert found.part_exact == pytest.approx(1 / 3)
    assert found.part_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (found.auroc_about, found.auroc_stray) == (1.0, 1.0)
    assert found.ece_shown == pytest.approx((0.1 + 0.2 + 0.2 + 0.1) / 4)
    assert found.ece_answerable == pytest.approx((0.1 + 0.2 + 0.8 + 0.1) / 4)
    assert found.ece_first == pytest.approx((0.1 + 0.8 + 0.2 + 0.1) / 4)
    assert found.aurc == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert found.curve[-1] == (1.0, 0.5)
    assert {one.kind: (one.questions, one.hit_1) for one in found.kinds} == {"who": (2, 0.5), "yes or no": (1, 0.0)}
    assert found.fused_total.p50 == 1.0
    assert [stage.name for stage in found.stages] == ["encode", "read", "total"]
    half = next(one for one in found.choices if one.threshold == 0.5)
    assert (half.coverage, half.risk, half.stray) == (0.5, 0.0, 0.0)
    assert half.of_answerable == pytest.approx(2 / 3)


def test_no_stray_question_is_about_a_title_that_is_there(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    kept, strays = halves(dataset)
    assert strays
    assert not any(dataset.titles()[query.id] & kept for query in strays)
    assert [query.id for query in halves(dataset, 3)[1]] == [query.id for query in strays[:3]]


def test_a_reader_s_figures_stand_beside_fusion_s(tmp_path: Path) -> None:
    dataset = made(tmp_path, answerable=True).sample(60)
    with corpus_of(dataset.articles, HashingEncoder()) as corpus:
        found = measure_reading(dataset, corpus, OverlapReader(), CALIBRATION, 2)
        alone = measure_reading(dataset, corpus, None, RETRIEVAL, 0)
        quality = measure(dataset, search_ours(corpus, Ranker(corpus, OverlapReader(), CALIBRATION, depth=2)))
    assert found.ranks.hit_1 == quality.hit_1
    assert found.ranks.hit_1 > 0.9
    assert alone.ranks == alone.fused
    assert found.fused.hit_1 == alone.fused.hit_1
    assert alone.part_f1 is None
    assert alone.read == 0 < found.read <= 2
    assert found.auroc_stray is not None
    assert found.auroc_stray > 0.9
    tables = render_reading(found)
    assert "hit@1, fusion alone" in tables
    assert "| when |" in tables


def test_each_depth_is_measured_and_depth_0_is_fusion(tmp_path: Path) -> None:
    dataset = made(tmp_path).sample(30)
    with corpus_of(dataset.articles, HashingEncoder()) as corpus:
        rows = measure_depths(dataset, corpus, OverlapReader(), CALIBRATION, [0, 1, 2])
        with pytest.raises(InputError, match="without a reader"):
            measure_depths(dataset, corpus, None, RETRIEVAL, [1])
    assert [row.depth for row in rows] == [0, 1, 2]
    assert rows[0].read == 0 < rows[1].read == 1 <= rows[2].read
    assert len(render_depths(rows).splitlines()) == 5


def test_a_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = figures_of([reply(1), reply(None, probability=0.1)], [], reader="r", depth=1)
    assert plot(figures, tmp_path / "new" / "plot.png")
    assert (tmp_path / "new" / "plot.png").read_bytes().startswith(b"\x89PNG")
