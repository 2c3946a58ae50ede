"""Finds near-duplicates made by edits of real articles, and times it: `python -m bench.nearduplicates DATA`.

DATA holds `scifact` and `squad1` in BEIR's layout. Each article gets a copy per kind of edit, and others that share
something with it and are no copies; all are added to one corpus, and what it takes for near-duplicates is compared with
what was made of what. Speed is that of adding with and without it in turns, with an encoder that costs next to nothing.
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice, pairwise
from pathlib import Path
from unittest.mock import patch

from bench.datasets import load_dataset, title_of
from bench.tables import render_markdown
from index.articles import Article, Span
from index.corpus import Corpus
from index.errors import QuotelineError
from index.nearduplicates import shingles, signature, similarity
from index.splitting import split_sentences
from index.store import Store, resemblance
from index.testing import HashingEncoder

# Sentences of the articles that are edited.
FEWEST, MOST = 4, 40
# Articles that are added in one turn, with or without: two batches.
TURN = 128
FOOTER = [
    "This article was first published in our weekly newsletter, which reaches readers in forty countries.",
    "Write to the editors if you have found a mistake, and tell us where it stands.",
    "All rights remain with the authors; no part may be used without their written consent.",
]
Sentences = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A real article as sentences."""

    title: str
    sentences: Sentences


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a source. copy: whether it is to be taken for a near-duplicate of that."""

    kind: str
    copy: bool
    article: Article


class Editor:
    """Makes copies of articles, and articles that are near and no copies; the same ones for the same seed."""

    def __init__(self, hosts: Sequence[Source], seed: int) -> None:
        """hosts: articles into which pieces of others are put; each is used once, and is nowhere itself."""
        self._hosts = hosts
        self._unused = iter(hosts)
        self._draw = random.Random(seed)  # noqa: S311 - nothing to guess

    def copies(self, source: Source) -> Iterator[tuple[str, Sentences]]:
        """Yield a name for the edit and the edited sentences, for each kind of edit."""
        own = source.sentences
        yield "another title", own
        yield "a sentence dropped", self._dropped(own)
        yield "a sentence added", self._added(own)
        yield "two sentences reordered", self._reordered(own)
        yield "three words in a hundred changed", self._reworded(own)
        yield "all of these", self._reworded(self._reordered(self._added(self._dropped(own))))

    def others(self, source: Source) -> Iterator[tuple[str, Sentences]]:
        """Yield a name and the sentences of articles that share something with this one and are no copies."""
        own = source.sentences
        yield "another article quotes a sentence", self._with(self._host(), [self._draw.choice(own)])
        yield "another article quotes two sentences", self._with(self._host(), self._draw.sample(own, 2))
        half = self._draw.sample(own, len(own) // 2)
        yield "a digest: half of it, half of another", (*half, *self._host()[: len(own) - len(half)])
        yield "another article, a footer that many have", (*self._host(), *FOOTER)

    def _dropped(self, sentences: Sentences) -> Sentences:
        gone = self._draw.randrange(len(sentences))
        return sentences[:gone] + sentences[gone + 1 :]

    def _added(self, sentences: Sentences) -> Sentences:
        return self._with(sentences, [self._draw.choice(self._other())])

    def _reordered(self, sentences: Sentences) -> Sentences:
        moved = list(sentences)
        one, other = self._draw.sample(range(len(moved)), 2)
        moved[one], moved[other] = moved[other], moved[one]
        return tuple(moved)

    def _reworded(self, sentences: Sentences) -> Sentences:
        words = [sentence.split(" ") for sentence in sentences]
        places = [(row, column) for row, sentence in enumerate(words) for column in range(len(sentence))]
        for row, column in self._draw.sample(places, max(1, round(0.03 * len(places)))):
            words[row][column] = self._draw.choice(self._draw.choice(self._other()).split(" "))
        return tuple(" ".join(sentence) for sentence in words)

    def _with(self, sentences: Sentences, more: Sequence[str]) -> Sentences:
        longer = list(sentences)
        for one in more:
            longer.insert(self._draw.randrange(len(longer) + 1), one)
        return tuple(longer)

    def _other(self) -> Sentences:
        return self._draw.choice(self._hosts).sentences

    def _host(self) -> Sentences:
        return next(self._unused).sentences


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found of the pairs that were made, by kind. false: other pairs that were found, by what they are."""

    made: Counter[str]
    found: Counter[str]
    copies: frozenset[str]
    false: Counter[str]

    def recall(self) -> float:
        """Return the share of all copies that were found."""
        return sum(self.found[kind] for kind in self.copies) / sum(self.made[kind] for kind in self.copies)

    def precision(self) -> float:
        """Return the share of copies of one source among all pairs that were found in the corpus."""
        true = sum(self.found[kind] for kind in self.copies)
        return true / (true + sum(self.false.values()))


def sources_in(data: Path) -> list[Source]:
    """Return SciFact's abstracts, and SQuAD's paragraphs put together to articles, none of them in two."""
    found = [(title_of(article), [article]) for article in load_dataset(data / "scifact").articles]
    for part in ("tune", "test"):
        for title, group in groupby(load_dataset(data / "squad1" / part).articles, key=title_of):
            paragraphs = list(group)
            size = 1
            while paragraphs:
                found.append((title, paragraphs[:size]))
                # Articles of one paragraph, of two, of four, of one again.
                paragraphs, size = paragraphs[size:], size * 2 if size < 4 else 1
    sources = [Source(title, tuple(one for part in parts for one in _sentences(part))) for title, parts in found]
    return [source for source in sources if FEWEST <= len(source.sentences) <= MOST]


def measure_quality(sources: Sequence[Source], hosts: Sequence[Source], folder: Path, *, seed: int) -> Quality:
    """Add the sources and all that is made of them, in an order of chance, and see what is found of each other."""
    editor = Editor(hosts, seed)
    made: dict[str, Made] = {}
    for number, source in enumerate(sources):
        made[f"{number}/0"] = Made("source", True, _article(f"{number}/0", source.title, source.sentences))
        for copy, versions in ((True, editor.copies(source)), (False, editor.others(source))):
            for kind, sentences in versions:
                name = f"{number}/{kind}"
                title = f"Report {number}" if kind == "another title" else source.title
                made[name] = Made(kind, copy, _article(name, title, sentences))
    order = sorted(made)
    random.Random(seed).shuffle(order)  # noqa: S311 - nothing to guess
    with closing(Store(folder / "quoteline.db", encoder="none", dim=1)) as store:
        _put(store, (made[name].article for name in order))
        pairs = {(one, other) for one, found in store.near_duplicates_of(order).items() for other in found}
    return _judged(made, pairs)


def _judged(made: dict[str, Made], pairs: set[tuple[str, str]]) -> Quality:
    copies = frozenset(one.kind for one in made.values() if one.copy and one.kind != "source")
    found: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for name, one in made.items():
        found[one.kind] += (f"{name.partition('/')[0]}/0", name) in pairs
    for left, right in pairs:
        same = left.partition("/")[0] == right.partition("/")[0]
        if left < right and not (same and made[left].copy and made[right].copy):
            kinds = " + ".join(sorted((made[left].kind, made[right].kind)))
            false[f"{kinds}, of one article" if same else f"{kinds}, of two"] += 1
    return Quality(Counter(one.kind for one in made.values()), found, copies, false)


# Speed


def many(sources: Sequence[Source], number: int, *, seed: int) -> Iterator[Article]:
    """Yield articles of sentences by chance: as long as real ones, and each sentence stands in several of them."""
    draw = random.Random(seed)  # noqa: S311 - nothing to guess
    sentences = [sentence for source in sources for sentence in source.sentences]
    for at in range(number):
        yield _article(
            f"a{seed}-{at}", f"Report {at}", tuple(draw.choices(sentences, k=len(draw.choice(sources).sentences)))
        )


def with_footer(sources: Sequence[Source], number: int, *, seed: int) -> Iterator[Article]:
    """Yield articles that share a footer and nothing else."""
    for article in many(sources, number, seed=seed):
        text = f"{article.text}\n\n{' '.join(FOOTER)}"
        yield replace(article, text=text, body=Span(0, len(text)))


def form_letters(number: int, *, seed: int) -> Iterator[Article]:
    """Yield weather reports of one form, all of them near-duplicates of all."""
    draw = random.Random(seed)  # noqa: S311 - nothing to guess
    for at in range(number):
        facts = [draw.randrange(-10, 35) for _ in range(4)]
        text = (
            f"The day begins dry in most parts of the country. Temperatures rise to {facts[0]} degrees in the north "
            f"and to {facts[1]} degrees in the south. A light wind blows from the west, with gusts near the coast. In "
            f"the night it cools down to {facts[2]} degrees, and there may be fog in the valleys. The outlook for the "
            f"following days remains changeable, with a chance of rain of {abs(facts[3])} per cent."
        )
        yield Article(f"w{at}", text, Span(0, len(text)))


def fill(articles: Iterator[Article], folder: Path) -> None:
    """Put articles without passages into two corpora, one with near-duplicates found; print how long finding takes."""
    with closing(Corpus(folder / "False", HashingEncoder())) as corpus, _detection(False):
        _put(corpus.store, articles)
        there, *_ = corpus.store.counts()
    shutil.copytree(folder / "False", folder / "True")
    with closing(Corpus(folder / "True", HashingEncoder())) as corpus:
        started, work = time.perf_counter(), time.process_time()
        corpus.store.find_near_duplicates_again()
        took, worked = time.perf_counter() - started, time.process_time() - work
        print(f"{there} are there: found anew in {took:.1f} s, {worked:.1f} of the processor; ", end="", flush=True)


def measure_speed(make: Callable[[], Iterator[Article]], folder: Path) -> None:
    """Add the same articles with and without near-duplicates being found, turn by turn."""
    spent: dict[bool, list[float]] = {True: [], False: []}
    worked = dict.fromkeys(spent, 0.0)
    corpora = {found: Corpus(folder / str(found), HashingEncoder()) for found in spent}
    articles, added = {found: make() for found in spent}, 0
    try:
        while turn := list(islice(articles[True], TURN)):
            next(islice(articles[False], len(turn) - 1, None))
            for found, corpus in corpora.items():
                with _detection(found):
                    started, work = time.perf_counter(), time.process_time()
                    for _ in corpus.add(turn):
                        pass
                spent[found].append(time.perf_counter() - started)
                worked[found] += time.process_time() - work
            added += len(turn)
        databases = {found: folder / str(found) / "quoteline.db" for found in spent}
        size = _size(databases[True]) - _size(databases[False])
        there = _count(databases[True], "SELECT count(*) FROM signatures")
        pairs = _count(databases[True], "SELECT count(*) / 2 FROM near_duplicates")
    finally:
        for corpus in corpora.values():
            corpus.close()
    total = {found: sum(seconds) for found, seconds in spent.items()}
    tenth = max(1, len(spent[True]) // 10)
    extra = [1e3 * (one - other) / TURN for one, other in zip(spent[True], spent[False], strict=True)]
    print(
        f"{added} articles added, {added / total[False]:.0f} a second without and {added / total[True]:.0f} with: "
        f"{total[False] / total[True]:.2f} of the speed; by processor time {worked[False] / worked[True]:.2f}, "
        f"{1e3 * worked[False] / added:.2f} and {1e3 * worked[True] / added:.2f} ms each; extra ms per article "
        f"{sum(extra[:tenth]) / tenth:.2f} in the first tenth, {sum(extra[-tenth:]) / tenth:.2f} in the last; "
        f"{size / there:.0f} bytes per article on disk; {pairs} pairs"
    )


def _put(store: Store, articles: Iterator[Article]) -> None:
    """Add articles without passages, which nobody is to ask for."""
    while turn := list(islice(articles, 50 * TURN)):
        with store.change() as change:
            for article in turn:
                change.add(replace(article, collection="default"), version=1, sentences=[article.body], readings=[])


@contextmanager
def _detection(on: bool) -> Iterator[None]:
    with nullcontext() if on else patch.object(resemblance, "enter", lambda *_: None):
        yield


def measure_signatures(sources: Sequence[Source]) -> tuple[float, float]:
    """Return microseconds per article for shingles and signature, and for a comparison of the texts of two."""
    texts = [" ".join(source.sentences) for source in sources]
    started = time.perf_counter()
    found = [shingles(text) for text in texts]
    for one in found:
        signature(one)
    middle = time.perf_counter()
    for one, other in pairwise(found):
        similarity(one, other)
    return 1e6 * (middle - started) / len(texts), 1e6 * (time.perf_counter() - middle) / len(texts)


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as a command. Raises QuotelineError."""
    parser = argparse.ArgumentParser(prog="bench.nearduplicates", description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--sources", type=int, default=1000, metavar="N", help="real articles that pairs are made of")
    parser.add_argument("--articles", type=int, default=2000, metavar="N", help="articles that are added for speed")
    parser.add_argument("--there", type=int, default=0, metavar="N", help="articles, without passages, before those")
    parser.add_argument("--stress", type=int, default=2000, metavar="N", help="those that share a footer, or a form")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    sources = sources_in(options.data)
    random.Random(options.seed).shuffle(sources)  # noqa: S311 - nothing to guess
    with tempfile.TemporaryDirectory(prefix="quoteline-near-") as folder:
        if options.sources:
            # Each source takes four hosts.
            count = min(options.sources, len(sources) // 5)
            chosen, hosts = sources[:count], sources[count:]
            _print_quality(measure_quality(chosen, hosts, Path(folder, "quality"), seed=options.seed))
            signing, comparing = measure_signatures(sources)
            print(f"\n{signing:.0f} µs per article for its signature, {comparing:.0f} µs to compare two texts")
        if options.articles:
            print("\nsentences by chance: ", end="", flush=True)
            if options.there:
                fill(many(sources, options.there, seed=options.seed + 1), Path(folder, "chance"))
            measure_speed(partial(many, sources, options.articles, seed=options.seed), Path(folder, "chance"))
        if options.stress:
            print("\none footer: ", end="", flush=True)
            measure_speed(partial(with_footer, sources, options.stress, seed=options.seed), Path(folder, "footer"))
        if options.stress:
            print("\nforms: ", end="", flush=True)
            measure_speed(partial(form_letters, options.stress, seed=options.seed), Path(folder, "forms"))
    return 0


def _print_quality(quality: Quality) -> None:
    rows = [[kind, str(quality.made[kind]), f"{quality.found[kind] / quality.made[kind]:.3f}"] for kind in quality.made]
    known = [row for row in rows if row[0] != "source"]
    print(render_markdown(["made of an article", "pairs", "taken for a near-duplicate of it"], known))
    print(f"\nrecall {quality.recall():.3f}, precision {quality.precision():.3f}; other pairs that were found:")
    for kind, count in quality.false.most_common():
        print(f"  {count} {kind}")


def _article(name: str, title: str, sentences: Sentences) -> Article:
    text = " ".join(sentences)
    return Article(name, text, Span(0, len(text)), title=title)


def _sentences(article: Article) -> list[str]:
    return [span.of(article.text) for span in split_sentences(article.text, article.body)]


def _size(path: Path) -> int:
    """Return the bytes of a database's pages, those in its log too."""
    return _count(path, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")


def _count(path: Path, query: str) -> int:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        [[number]] = connection.execute(query)
    return int(number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench.nearduplicates: {error}")
