import itertools
from pathlib import Path

from bench.datasets import load_dataset
from bench.load import SEEDS, add, measure, questions_of, vary
from bench.serving import Serving


def test_nobody_is_turned_away_while_articles_are_added(tmp_path: Path) -> None:
    dataset = load_dataset(SEEDS)
    records = list(itertools.islice(vary(dataset.articles), 60))
    quiet, adding, added = measure(
        Serving(tmp_path),
        questions_of(dataset),
        there=records[:20],
        more=records[20:],
        clients=4,
        seconds=1,
        mixed=True,
    )
    assert (quiet.errors, adding.errors, added.errors) == (0, 0, 0)
    assert added.articles == 40
    assert quiet.milliseconds
    assert adding.milliseconds


def test_an_article_that_cannot_be_added_is_counted(tmp_path: Path) -> None:
    with Serving(tmp_path).start().wait_until_ready() as process:
        added = add(process.port, [{"_id": "a", "text": "One lamp."}, {"_id": "b", "text": " "}])
    assert (added.articles, added.errors) == (1, 1)


def test_varied_articles_are_all_different() -> None:
    records = list(itertools.islice(vary(load_dataset(SEEDS).articles), 50))
    assert len({record["_id"] for record in records}) == 50
    assert len({record["text"] for record in records}) == 50
