"""Sources: each yields examples from one data set, mined with the product's own retrieval where it has a corpus.

squad        SQuAD 1.1 and 2.0: answers in paragraphs; questions about a paragraph that does not answer them
quac         QuAC's answers, from CANARD: the answers of one conversation, in order, are about a section's text
expertqa     long answers by sentence; distractors are sentences of answers to near questions
strategyqa   yes-or-no questions and the facts that decide them
pubmedqa     yes-or-no questions, abstracts and their conclusions
scifact      claims, and the sentences of abstracts that support or contradict them
ramdocs      ambiguous questions with right, wrong and off-topic documents; held out
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.quality import corpus_of
from index.articles import Article, Span
from index.corpus import Corpus
from index.encoding import Context, Encoder
from index.errors import QuestionError
from index.formats import read_articles
from index.passages import context_of
from index.retrieval import Retriever
from index.splitting import split_sentences
from training.examples import Example, Labelled

# Passages kept for a question; training draws from them.
KEPT = 6
# Sentences of a passage made of single sentences.
MADE = 5

Chance = random.Random
Record = dict[str, Any]


def squad(data: Path, half: str, encoder: Encoder) -> Iterator[Example]:
    """Yield the questions of SQuAD 1.1 and 2.0, one half ("tune"), with passages of the whole half's paragraphs.

    A passage without the evidence that holds an answer's words is not labelled: it may well answer.
    """
    asked: dict[str, Record] = {}
    evidence: dict[str, Record] = {}
    for version in ("squad2", "squad1"):
        asked |= {record["id"]: record for record in records(data / version / half / "queries.jsonl")}
        evidence |= {record["query_id"]: record for record in records(data / version / half / "evidence.jsonl")}
    with _indexed(data / "squad1" / half / "corpus.jsonl", encoder) as corpus:
        miner = _Miner(corpus)
        for record in asked.values():
            told = evidence.get(record["id"])
            places = {told["doc_id"]: told["text"]} if told else {}
            words = [record["source_doc"]] if told is None else []
            passages = miner.mine(
                record["text"], places, told["answer"] if told else None, record["answers"], always=words
            )
            group = miner.title(record["source_doc"])
            yield Example("squad", group, record["text"], tuple(passages))


def scifact(data: Path, encoder: Encoder) -> Iterator[Example]:
    """Yield the claims with passages of the abstracts that they cite."""
    folder = data / "scifact"
    evidence: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records(folder / "evidence.jsonl"):
        evidence[record["query_id"]][record["doc_id"]].append(record["text"])
    claims = [record for record in records(folder / "queries.jsonl") if record.get("cited_doc_ids")]
    cited = {doc for record in claims for doc in record["cited_doc_ids"]}
    corpus_records = [record for record in records(folder / "corpus.jsonl") if record["id"] in cited]
    with _indexed_records(corpus_records, encoder) as corpus:
        miner = _Miner(corpus)
        for record in claims:
            told = evidence[record["id"]]
            if not told and record.get("label") != ["NOINFO"]:
                continue
            labelled = [
                Labelled(
                    context,
                    tuple(any(_same(span.of(context.text), one) for one in told.get(doc, ())) for span in spans),
                )
                for doc in record["cited_doc_ids"]
                for context in miner.contexts(doc)
                for spans in [context.spans]
            ]
            labelled.sort(key=lambda one: not one.helps)
            if bool(told) == any(one.helps for one in labelled):
                yield Example("scifact", record["cited_doc_ids"][0], record["text"], tuple(labelled[:KEPT]))


def quac(data: Path, encoder: Encoder) -> Iterator[Example]:
    """Yield each question with the answers of its conversation, in order, as passages."""
    by_dialog: dict[str, list[Record]] = defaultdict(list)
    for record in records(data / "pairs" / "quac_answers.jsonl"):
        by_dialog[record["id"].split("#")[0]].append(record)
    for dialog, turns in by_dialog.items():
        answers = list(dict.fromkeys(turn["answer"].strip() for turn in turns))
        groups = [answers[first : first + MADE] for first in range(0, len(answers), MADE - 1)]
        contexts = [made(group, title=turns[0]["page"]) for group in groups if len(group) > 1 or len(groups) == 1]
        for turn in turns:
            answer = turn["answer"].strip()
            if len(answer.split()) < 4:
                continue  # a few words are no sentence
            labelled = [
                Labelled(
                    context, tuple(span.of(context.text).rstrip(".") == answer.rstrip(".") for span in context.spans)
                )
                for context in contexts
            ]
            labelled.sort(key=lambda one: not one.helps)
            yield Example("quac", dialog, turn["question"], tuple(labelled[:KEPT]))


def expertqa(data: Path, encoder: Encoder, chance: Chance) -> Iterator[Example]:
    """Yield each question with sentences of its answer among sentences of answers to near questions."""
    asked = [record for record in records(data / "pairs" / "expertqa.jsonl") if record["answer_sentences"]]
    near = _nearest([record["question"] for record in asked], encoder, 12)
    for record, others in zip(asked, near, strict=True):
        own = [" ".join(text.split()) for text in record["answer_sentences"][:4] if len(text.split()) > 4]
        foreign = [
            " ".join(text.split())
            for other in others[:8]
            for text in asked[other]["answer_sentences"][:2]
            if len(text.split()) > 4
        ]
        yield from _mixed("expertqa", record["id"], record["question"], own, foreign, chance)


def strategyqa(data: Path, encoder: Encoder, chance: Chance) -> Iterator[Example]:
    """Yield each question with its facts among facts about near questions."""
    asked = [record for record in records(data / "pairs" / "strategyqa.jsonl") if record["facts"]]
    near = _nearest([record["question"] for record in asked], encoder, 12)
    for record, others in zip(asked, near, strict=True):
        own = [" ".join(fact.split()) for fact in record["facts"]]
        foreign = [" ".join(fact.split()) for other in others[:8] for fact in asked[other]["facts"][:2]]
        yield from _mixed("strategyqa", record["id"], record["question"], own, foreign, chance)


def pubmedqa(data: Path, encoder: Encoder) -> Iterator[Example]:
    """Yield each question with its abstract; the conclusion answers, of the results it is not known."""
    for record in records(data / "pairs" / "pubmedqa.jsonl"):
        labelled = []
        parts = [*zip(record["sections"], record["context"], strict=False), ("CONCLUSION", record["conclusion"])]
        for section, text in parts:
            conclusion = section == "CONCLUSION"
            known = conclusion or not any(word in section for word in ("RESULT", "FINDING", "CONCLU"))
            label = conclusion if known else None
            spans = split_sentences(text)
            for first in range(0, len(spans), MADE):
                few = spans[first : first + MADE]
                start = few[0].start
                shifted = tuple(Span(span.start - start, span.end - start) for span in few)
                context = Context("", text[start : few[-1].end], shifted)
                labelled.append(Labelled(context, (label,) * len(few)))
        labelled.sort(key=lambda one: not one.helps)
        if labelled[0].helps:
            yield Example("pubmedqa", record["id"], record["question"], tuple(labelled[:KEPT]))


def ramdocs(data: Path, encoder: Encoder) -> Iterator[Example]:
    """Yield each question with its documents; a sentence with a right or wrong answer's words answers."""
    documents = {record["id"]: record["text"] for record in records(data / "ramdocs" / "corpus.jsonl")}
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records(data / "ramdocs" / "evidence.jsonl"):
        found[record["query_id"]].append(record)
    for record in records(data / "ramdocs" / "queries.jsonl"):
        labelled = []
        for one in found[record["id"]]:
            text = documents[one["doc_id"]]
            spans = split_sentences(text)
            for first in range(0, len(spans), MADE):
                few = spans[first : first + MADE]
                start = few[0].start
                shifted = tuple(Span(span.start - start, span.end - start) for span in few)
                context = Context("", text[start : few[-1].end], shifted)
                answers = tuple(
                    one["type"] != "noise" and str(one.get("answer")).lower() in span.of(context.text).lower()
                    for span in shifted
                )
                labelled.append(Labelled(context, answers))
        if any(one.helps for one in labelled):
            yield Example("ramdocs", record["id"], record["text"], tuple(labelled))


def made(sentences: Sequence[str], *, title: str = "") -> Context:
    """Return single sentences joined to a passage."""
    text, spans = "", []
    for sentence in sentences:
        start = len(text) + bool(text)
        text = f"{text} {sentence}" if text else sentence
        spans.append(Span(start, len(text)))
    return Context(title, text, tuple(spans))


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a JSON Lines file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _mixed(
    source: str, group: str, question: str, own: Sequence[str], foreign: Sequence[str], chance: Chance
) -> Iterator[Example]:
    """Yield one example: own sentences among foreign ones in one passage, and passages of foreign ones alone."""
    if not own or len(foreign) < MADE:
        return
    kept = list(own)[:3]
    mixed = [(text, True) for text in kept] + [(text, False) for text in foreign[: max(MADE - len(kept), 2)]]
    chance.shuffle(mixed)
    rest = list(foreign[max(MADE - len(kept), 2) :])
    passages = [Labelled(made([text for text, _ in mixed]), tuple(label for _, label in mixed))]
    for first in range(0, len(rest) - 2, MADE):
        few = rest[first : first + MADE]
        passages.append(Labelled(made(few), (False,) * len(few)))
    yield Example(source, group, question, tuple(passages[:KEPT]))


def _nearest(texts: Sequence[str], encoder: Encoder, count: int) -> list[list[int]]:
    """Return for each text the rows of the nearest others, nearest first; the very nearest may say the same."""
    vectors = encoder.encode_questions(texts)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return [np.argsort(-row)[1 : count + 1].tolist() for row in cosines]


class _Miner:
    """Finds passages for a question and labels them."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._retriever = Retriever(corpus)
        self._contexts: dict[str, list[Context]] = {}

    def title(self, article_id: str) -> str:
        return self._corpus.store.record(article_id).article.title or article_id

    def contexts(self, article_id: str) -> list[Context]:
        """Return all passages of an article."""
        if article_id not in self._contexts:
            record = self._corpus.store.record(article_id)
            groups = self._corpus.groups_of(record.article, record.sentences)
            self._contexts[article_id] = [context_of(record.article, record.sentences[slice(*one)]) for one in groups]
        return self._contexts[article_id]

    def mine(
        self,
        question: str,
        places: Mapping[str, str],
        answer: str | None,
        answers: Sequence[str],
        *,
        always: Sequence[str],
    ) -> Iterator[Labelled]:
        """Yield passages with the evidence in `places` first, then what retrieval finds, best first.

        always: articles whose passages are among them. A passage elsewhere that holds one of `answers` is left out.
        """
        seen: set[tuple[str, int]] = set()
        kept = 0
        for article_id in [*places, *always]:
            for number, context in enumerate(self.contexts(article_id)):
                labelled = _label(context, places.get(article_id), answer)
                if labelled.helps or article_id in always:
                    seen.add((article_id, number))
                    kept += 1
                    yield labelled
        for article_id, number in self._found(question):
            if (article_id, number) in seen:
                continue
            context = self.contexts(article_id)[number]
            if any(text.lower() in context.text.lower() for text in answers):
                continue
            seen.add((article_id, number))
            kept += 1
            yield _label(context, None, None)
            if kept >= KEPT:
                return

    def _found(self, question: str) -> Iterator[tuple[str, int]]:
        try:
            retrieved = self._retriever.retrieve(question, top_k=40)
        except QuestionError:
            return
        for candidate in retrieved.candidates:
            passage = candidate.passage
            record = self._corpus.store.record(passage.article_id)
            groups = self._corpus.groups_of(record.article, record.sentences)
            yield passage.article_id, groups.index((passage.first, passage.last))


def _label(context: Context, evidence: str | None, answer: str | None) -> Labelled:
    spans = context.spans
    answers = tuple(evidence is not None and _same(span.of(context.text), evidence) for span in spans)
    part = None
    if answer and any(answers):
        held = spans[answers.index(True)]
        place = context.text.find(answer, held.start, held.end)
        part = Span(place, place + len(answer)) if place >= 0 else None
    return Labelled(context, answers, part, parts_known=part is not None or not any(answers))


def _same(sentence: str, evidence: str) -> bool:
    """Whether one holds the other; both were cut from one text, by two ways to split it."""
    return len(sentence) > 8 and (sentence in evidence or evidence in sentence)


@contextmanager
def _indexed(path: Path, encoder: Encoder) -> Iterator[Corpus]:
    with path.open("rb") as file:
        articles = [one for one in read_articles(file, name=path.name) if isinstance(one, Article)]
    with corpus_of(articles, encoder) as corpus:
        yield corpus


@contextmanager
def _indexed_records(found: Iterable[Record], encoder: Encoder) -> Iterator[Corpus]:
    articles = [
        Article(id=record["id"], text=record["text"], body=Span(0, len(record["text"])), title=record["title"])
        for record in found
        if record["text"].strip()
    ]
    with corpus_of(articles, encoder) as corpus:
        yield corpus
