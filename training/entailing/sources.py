"""Pairs from data sets that people labelled, and paragraphs from which more are made.

scifact      claims with sentences that support or contradict them, and other sentences of the same abstracts
pubmedqa     yes-or-no questions with an abstract's conclusion
strategyqa   yes-or-no questions with the facts that decide them
squad        a question and its answer as a statement, with the sentence that answers; and with another answer
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

from index.splitting import split_sentences
from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.entailing.statements import Paragraph, denied_statement, question_or_statement
from training.sources import Record, records
from training.synthesis import to_statement, word_set

_LABELS = {"SUPPORT": SUPPORTS, "CONTRADICT": OPPOSES, "yes": SUPPORTS, "no": OPPOSES, "maybe": NEITHER}
_TURNED = {SUPPORTS: OPPOSES, OPPOSES: SUPPORTS, NEITHER: NEITHER}
# Sentences of a cited abstract that say nothing about the claim, of each claim.
_ASIDE = 2


def scifact(data: Path, split: str, chance: Random, *, aside: int = _ASIDE) -> Iterator[Pair]:
    """Yield a split's claims with their evidence, and with at most `aside` other sentences of what they cite."""
    folder = data / "scifact"
    texts = {one["id"]: one["text"] for one in records(folder / "corpus.jsonl")}
    evidence: dict[str, list[Record]] = defaultdict(list)
    for record in records(folder / "evidence.jsonl"):
        evidence[record["query_id"]].append(record)
    for claim in records(folder / "queries.jsonl"):
        if claim["split"] != split:
            continue
        group = claim["cited_doc_ids"][0]
        own = evidence[claim["id"]]
        for record in own:
            yield Pair("scifact", group, record["text"], claim["text"], _LABELS[record["label"]])
        others = [
            sentence
            for doc in claim["cited_doc_ids"]
            for sentence in sentences_of(texts.get(doc, ""))
            if len(sentence.split()) > 4 and not any(_overlap(sentence, one["text"]) for one in own)
        ]
        for sentence in chance.sample(others, min(len(others), aside)):
            yield Pair("scifact", group, sentence, claim["text"], NEITHER)


def pubmedqa(data: Path, chance: Random) -> Iterator[Pair]:
    """Yield each question with its conclusion, and with a sentence of how it was studied, which answers nothing."""
    for record in records(data / "pairs" / "pubmedqa.jsonl"):
        question = record["question"]
        yield Pair("pubmedqa", record["id"], record["conclusion"], question, _LABELS[record["answer"]])
        before = [
            sentence
            for section, text in zip(record["sections"], record["context"], strict=False)
            if re.search(r"METHOD|DESIGN|SETTING|PATIENT|MATERIAL|BACKGROUND|OBJECTIVE|AIM|PURPOSE", section)
            for sentence in sentences_of(text)
        ]
        if before:
            yield Pair("pubmedqa", record["id"], chance.choice(before), question, NEITHER)


def strategyqa(data: Path) -> Iterator[Pair]:
    """Yield each question with its facts, joined."""
    for record in records(data / "pairs" / "strategyqa.jsonl"):
        if record["facts"]:
            yield Pair(
                "strategyqa", record["id"], " ".join(record["facts"]), record["question"], _LABELS[record["answer"]]
            )


def squad(data: Path, chance: Random) -> Iterator[Pair]:
    """Yield statements made of question and answer, of the half for tuning, and of question and another's answer.

    Another number or date opposes the sentence that answers. Another name does where only one can be meant.
    """
    folder = data / "squad1" / "tune"
    told = {one["query_id"]: one for one in records(folder / "evidence.jsonl")}
    paragraphs = {one["id"]: one for one in records(folder / "corpus.jsonl")}
    asked: dict[str, list[Record]] = defaultdict(list)
    for record in records(folder / "queries.jsonl"):
        if record["id"] in told and not told[record["id"]].get("ambiguous"):
            asked[paragraphs[told[record["id"]]["doc_id"]]["title"]].append(record)
    for title, questions in asked.items():
        for record in questions:
            evidence = told[record["id"]]
            statement = answered(record["text"], evidence["answer"])
            if statement is None:
                continue
            yield Pair("squad", title, evidence["text"], statement, SUPPORTS)
            others = [told[one["id"]]["answer"] for one in questions if _kind(one["text"]) == _kind(record["text"])]
            others = [one for one in others if one.lower() not in evidence["text"].lower()]
            others = [
                one for one in others if bool(re.search(r"\d", one)) == bool(re.search(r"\d", evidence["answer"]))
            ]
            only = re.search(r"\d", evidence["answer"]) or _ONLY_ONE.search(record["text"])
            if others and only and (other := answered(record["text"], chance.choice(others))):
                yield Pair("squad", title, evidence["text"], other, OPPOSES)
            near = [
                sentence
                for sentence in sentences_of(paragraphs[evidence["doc_id"]]["text"])
                if evidence["answer"].lower() not in sentence.lower() and not _overlap(sentence, evidence["text"])
            ]
            if near:
                yield Pair("squad", title, chance.choice(near), statement, NEITHER)


def varied(pair: Pair, chance: Random) -> Pair:
    """Return the pair with its hypothesis as a question, or as a statement, or turned into its opposite, by chance."""
    relation, hypothesis = pair.relation, pair.hypothesis
    both = question_or_statement(hypothesis)
    statement = both[1] if both else hypothesis
    if chance.random() < 0.4 and not statement.endswith("?") and (denied := denied_statement(statement, chance)):
        relation, hypothesis = _TURNED[relation], denied
        both = question_or_statement(denied)
    if both:
        hypothesis = both[chance.random() < 0.5]
    return Pair(pair.source, pair.group, pair.premise, hypothesis, relation)


def paragraphs(data: Path) -> Iterator[Paragraph]:
    """Yield the paragraphs that pairs are made of; of SciFact none that a claim of another split than "train" cites."""
    for record in records(data / "squad1" / "tune" / "corpus.jsonl"):
        yield Paragraph("squad", record["title"], sentences_of(record["text"]))
    yield from _abstracts(data)
    for record in records(data / "pairs" / "pubmedqa.jsonl"):
        text = " ".join([*record["context"], record["conclusion"]])
        yield Paragraph("pubmedqa", record["id"], sentences_of(text))
    for record in records(data / "pairs" / "expertqa.jsonl"):
        sentences = [" ".join(text.split()).replace(" .", ".") for text in record["answer_sentences"]]
        yield Paragraph("expertqa", record["id"], sentences)
    dialogs: dict[str, list[str]] = defaultdict(list)
    for record in records(data / "pairs" / "quac_answers.jsonl"):
        dialogs[record["id"].split("#")[0]] += sentences_of(record["answer"])
    for dialog, answers in dialogs.items():
        yield Paragraph("quac", dialog, list(dict.fromkeys(answers)))
    for record in records(data / "sentences" / "ewt_dev.jsonl"):
        yield Paragraph("ewt", record["id"], record["sentences"])


def _abstracts(data: Path) -> Iterator[Paragraph]:
    cited = {
        doc
        for claim in records(data / "scifact" / "queries.jsonl")
        if claim["split"] != "train"
        for doc in claim.get("cited_doc_ids") or ()
    }
    for record in records(data / "scifact" / "corpus.jsonl"):
        if record["id"] not in cited:
            yield Paragraph("scifact", record["id"], sentences_of(record["text"]))


def answered(question: str, answer: str) -> str | None:
    """Return a question that starts with its question word, and its answer, as one statement, or None in doubt."""
    words = question.rstrip("? ").split()
    answer = answer.strip(" .,")
    if len(words) < 4 or len(answer.split()) > 8:
        return None
    low = [word.lower() for word in words]
    if low[:2] in (["in", "what"], ["in", "which"], ["on", "what"], ["on", "which"], ["during", "which"]):
        low, words = low[1:], words[1:]
        placed = f"in {answer}"
    else:
        placed = answer if answer.split()[0].lower() in _PLACING else f"in {answer}"
    at = next((at for at, word in enumerate(low[:7]) if word in _TURNING), 0)
    if low[0] in {"when", "where"} or (placed == f"in {answer}" != answer and low[1] in {"year", "city", "country"}):
        made = to_statement(f"{' '.join([words[at].capitalize(), *words[at + 1 :]])} {placed}?") if at else None
    elif low[:2] == ["how", "many"] and at > 2:
        counted = f"{answer} {' '.join(words[2:at])}"
        made = None
        if low[at] in _DOING:
            made = to_statement(f"{words[at].capitalize()} {' '.join(words[at + 1 :])} {counted}?")
        elif low[at] in {"were", "are", "have", "had"} and low[at + 1 : at + 2] != ["there"]:
            made = f"{counted} {' '.join(words[at:])}"
    elif low[0] in {"who", "what", "which"}:
        if at and low[at] in _DOING:
            made = to_statement(f"{words[at].capitalize()} {' '.join(words[at + 1 :])} {answer}?")
        elif at == 1 and low[0] == "what" and low[2:3] in (["the"], ["a"], ["an"]):
            made = f"{' '.join(words[2:])} {words[1]} {answer}"
        else:
            made = f"{answer} {' '.join(words[at or 1 :])}" if at or low[0] == "who" else None
    else:
        made = None
    return None if made is None else made[:1].upper() + made[1:] + "."


def _kind(question: str) -> str:
    words = question.lower().split()[:3]
    return " ".join(words[:2] if words[0] in {"how", "what", "which", "in"} else words[:1])


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, each on one line."""
    return [" ".join(span.of(text).split()) for span in split_sentences(text)]


def _overlap(one: str, other: str) -> bool:
    return one in other or other in one


_DOING = frozenset(["did", "does", "do"])
_TURNING = _DOING | word_set("is was are were has had have can could will would")
_PLACING = word_set("in at on by from near under during since after before between along within around")
_ONLY_ONE = re.compile(
    r"\b[Tt]he (?:first|last|only|name|capital|title|\w+est)\b|^Who (?:is|was) the |^What (?:is|was) the "
)
