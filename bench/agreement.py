"""Where sources disagree: how often both sides are shown, how often they stand apart, and what comparing costs.

    python -m bench.agreement DIR [--sample N] [--plain DIR]

DIR is a data set in BEIR's layout as RAMDocs is (Wang et al. 2025, arXiv:2504.13079): ambiguous questions, each with
documents that are right, wrong or off topic; evidence.jsonl says which (`type`) and with which `answer`, queries.jsonl
all right ones (`gold_answers`). All its documents are one corpus. `--plain` is a data set whose articles do not
contradict each other, such as SQuAD: how often answers to its questions are said to differ, which they don't.

Each question is asked twice, one time after the other: compared, and not.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

from bench.datasets import Dataset, load_dataset
from bench.quality import corpus_of
from bench.tables import render_markdown
from index.encoding import Encoder, load_encoder
from index.entailment import Entailment
from index.errors import InputError, QuotelineError
from index.reading import Reader
from service.answering import Answer, Citation
from service.readers import open_answerer, open_entailment, open_reader
from service.settings import Settings

Type = Literal["correct", "misinfo", "noise"]
# Citations that are looked at: voices, where the same in several places is one.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A question. right: its answers. types: of the documents that were found for it, by their ids."""

    text: str
    right: frozenset[str]
    types: Mapping[str, Type]


@dataclass(frozen=True, slots=True)
class Shown:
    """What two answers to one question show: compared, and not. Milliseconds are those of the whole ask."""

    question: Ambiguous
    compared: Answer
    plain: Answer


def main() -> None:
    """Read the command line, ask, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.agreement", description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the data set")
    parser.add_argument("--plain", type=Path, help="a data set without contradictions")
    parser.add_argument("--sample", type=int, default=300, help="questions of the latter (%(default)s)")
    options = parser.parse_args()
    try:
        models = _Models.of(Settings())
        shown = models.ask(load_dataset(options.data), list(questions_of(options.data)))
        print(render_markdown([options.data.name, "plain ranking", "compared"], list(rows_of(shown))))
        if options.plain:
            plain = load_dataset(options.plain).sample(options.sample)
            told = models.ask(plain, [Ambiguous(query.text, frozenset(), {}) for query in plain.queries])
            print(f"\n{plain.name}: of {len(told)} answers, {_share(told, _said_to_differ)} are said to differ")
    except QuotelineError as error:
        sys.exit(str(error))


def questions_of(folder: Path) -> Iterator[Ambiguous]:
    """Yield the questions of a data set. Raises InputError where a record lacks what this needs."""
    types: dict[str, dict[str, Type]] = defaultdict(dict)
    try:
        for record in _records(folder / "evidence.jsonl"):
            types[record["query_id"]][record["doc_id"]] = record["type"]
        for record in _records(folder / "queries.jsonl"):
            yield Ambiguous(record["text"], frozenset(record["gold_answers"]), types[record["id"]])
    except KeyError as error:
        raise InputError(f"{folder}: a record has no {error}; this bench is for data in the form of RAMDocs") from error


def rows_of(shown: Sequence[Shown]) -> Iterator[list[str]]:
    """Yield the table's rows: what is measured, of plain ranking, and compared."""
    several = [one for one in shown if len(one.question.right) > 1]
    wrong = [one for one in shown if "misinfo" in one.question.types.values()]
    both = [one for one in wrong if _shows_both(one.question, one.compared)]
    yield [
        f"two right answers or more are shown (of {len(several)} questions that have them)",
        _share(several, lambda one: len(_right_answers(one.question, one.plain)) > 1),
        _share(several, lambda one: len(_right_answers(one.question, one.compared)) > 1),
    ]
    yield [
        f"a right and a wrong document are shown (of {len(wrong)} questions that have a wrong one)",
        _share(wrong, lambda one: _shows_both(one.question, one.plain)),
        _share(wrong, lambda one: _shows_both(one.question, one.compared)),
    ]
    yield [
        f"and stand apart (of the {len(both)} that show both)",
        "0",
        _share(both, lambda one: _stand_apart(one.question, one.compared)),
    ]
    plain, compared = ([answer.timings_ms["total"] for answer in answers] for answers in _both(shown))
    yield ["ms per ask, p50", f"{median(plain):.1f}", f"{median(compared):.1f}"]
    yield ["ms per ask, p95", f"{quantiles(plain, n=20)[-1]:.1f}", f"{quantiles(compared, n=20)[-1]:.1f}"]
    differences = [there - here for here, there in zip(plain, compared, strict=True)]
    yield ["ms that comparing costs, p50 of the differences", "", f"{median(differences):.1f}"]


@dataclass(frozen=True, slots=True)
class _Models:
    """What reads, loaded once."""

    settings: Settings
    encoder: Encoder
    reader: Reader | None
    entailment: Entailment | None

    @classmethod
    def of(cls, settings: Settings) -> "_Models":
        encoder = load_encoder(settings.model, settings.models_folder)
        return cls(settings, encoder, open_reader(settings), open_entailment(settings))

    def ask(self, dataset: Dataset, questions: Sequence[Ambiguous]) -> list[Shown]:
        """Ask each question twice of a corpus of all articles, in turns."""
        with corpus_of(dataset.articles, self.encoder) as corpus:
            answerer = open_answerer(corpus, self.settings, self.reader, self.entailment)
            for question in questions[:10]:
                answerer.ask(question.text)
            return [
                Shown(one, answerer.ask(one.text, top_k=SHOWN), answerer.ask(one.text, top_k=SHOWN, compare=False))
                for one in questions
            ]


def _both(shown: Sequence[Shown]) -> tuple[list[Answer], list[Answer]]:
    return [one.plain for one in shown], [one.compared for one in shown]


def _citations(answer: Answer) -> tuple[Citation, ...]:
    return answer.citations or answer.nearest


def _right_answers(question: Ambiguous, answer: Answer) -> set[str]:
    """Return the right answers whose words stand in what is quoted."""
    quoted = [_plain(citation.quote) for citation in _citations(answer)]
    return {right for right in question.right if any(_plain(right) in quote for quote in quoted)}


def _places(question: Ambiguous, answer: Answer, wanted: Type) -> set[int]:
    """Return the numbers of citations of which a place is a document of that type."""
    return {
        citation.n
        for citation in _citations(answer)
        for place in (citation, *citation.places)
        if question.types.get(place.article_id) == wanted
    }


def _shows_both(question: Ambiguous, answer: Answer) -> bool:
    return bool(_places(question, answer, "correct") and _places(question, answer, "misinfo"))


def _stand_apart(question: Ambiguous, answer: Answer) -> bool:
    """Whether a wrong document is on a side of its own, and a right one on another."""
    sides = answer.comparison.sides if answer.comparison else ()
    right, wrong = (_places(question, answer, wanted) for wanted in ("correct", "misinfo"))
    own = [(bool(right & set(side.citations)), bool(wrong & set(side.citations))) for side in sides]
    return (True, False) in own and (False, True) in own and (True, True) not in own


def _said_to_differ(shown: Shown) -> bool:
    comparison = shown.compared.comparison
    return comparison is not None and comparison.verdict in ("differ", "contested")


def _share(shown: Sequence[Shown], holds: Callable[[Shown], bool]) -> str:
    return f"{sum(map(holds, shown)) / len(shown):.3f}" if shown else "none"


def _plain(text: str) -> str:
    words = re.findall(r"\w+", text.casefold())
    return f" {' '.join(words)} "


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON Lines; name the folder of a data set") from error


if __name__ == "__main__":
    main()
