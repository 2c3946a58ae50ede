import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from index.articles import Span
from index.encoding import Context
from index.frames import Framer
from index.network import ReaderNetwork
from index.testing import HashingEncoder
from index.torch_encoder import default_weights
from training import __main__ as command
from training import sources
from training.batches import UNKNOWN, batch
from training.examples import Example, Labelled
from training.train import Recipe, choose, drop_channels, train, trainable
from training.variety import made_questions, unanswerable

RECIPE = Recipe(passes={"toy": 30}, questions=3, rate=3e-3, head_rate=1e-2, warm_up=2, altered=0, without_answer=0)


def passage(sentences: Sequence[str], answers: Sequence[bool | None], part: str | None = None) -> Labelled:
    context = sources.made(sentences)
    start = context.text.find(part) if part else 0
    span = Span(start, start + len(part)) if part else None
    return Labelled(context, tuple(answers), span, parts_known=span is not None)


ROCKET = Example(
    "toy",
    "space",
    "Who built the rocket?",
    (
        passage(["It rose at noon.", "Maria Lopez built the rocket in 1999."], [False, True], "Maria Lopez"),
        passage(["Holland makes cheese.", "Cows give milk."], [False, False]),
    ),
)
BREAD = Example(
    "toy",
    "food",
    "When was the bakery closed?",
    (
        passage(["The bakery was closed in 1976 by Anna Berg.", "Bread is good."], [True, False], "in 1976"),
        passage(["The school was closed in 1981 by Karl Holm.", "Rain fell."], [False, False]),
    ),
)


@pytest.fixture
def network() -> ReaderNetwork:
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ReaderNetwork(BertModel(config), 32)


@pytest.fixture
def framer() -> Framer:
    return Framer(Tokenizer.from_file(str(default_weights() / "tokenizer.json")))


def test_a_batch_holds_the_labels_of_each_sentence_and_the_tokens_of_the_part(framer: Framer) -> None:
    made = batch(framer, [ROCKET, BREAD], [ROCKET.passages, BREAD.passages[:1]])
    assert made.question.tolist() == [0, 0, 1]
    assert made.answers.tolist() == [[0, 1], [0, 0], [1, 0]]
    tokens = framer.frames(ROCKET.question, [ROCKET.passages[0].context])[0]
    start, end = int(made.starts[0].argmax()), int(made.ends[0].argmax())
    text = ROCKET.passages[0].context.text
    assert text[tokens.offsets[start, 0] : tokens.offsets[end, 1]] == "Maria Lopez"
    assert not made.starts[1].any()  # nobody said where an answer would be


def test_a_sentence_that_the_window_cuts_off_is_not_judged(framer: Framer) -> None:
    long = passage(["word " * 400, "The rocket was built by Maria."], [False, True])
    made = batch(framer, [ROCKET], [[long]])
    assert made.answers.tolist() == [[UNKNOWN, UNKNOWN]] or made.answers.tolist() == [[0, UNKNOWN]]


def test_training_makes_the_right_sentence_win(network: ReaderNetwork, framer: Framer, tmp_path: Path) -> None:
    recipe = replace(RECIPE, passes={"toy": 100}, frozen=0)
    train(network, default_weights() / "tokenizer.json", [ROCKET, BREAD], recipe, tmp_path / "network.pt")
    made = batch(framer, [ROCKET, BREAD], [ROCKET.passages, BREAD.passages])
    with torch.no_grad():
        logits, _ = network(*made.inputs)
    assert logits.flatten().topk(2).indices.sort().values.tolist() == [1, 4]
    kept = torch.load(tmp_path / "network.pt", weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_what_is_frozen_stays(network: ReaderNetwork, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, default_weights() / "tokenizer.json", [ROCKET], replace(RECIPE, frozen=1), tmp_path / "network.pt")
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("encoder.embeddings.", "encoder.encoder.layer.0.")) for name in changed)
    assert any(name.startswith("encoder.encoder.layer.1.") for name in changed)
    assert all(not parameter.requires_grad or name in changed for name, parameter in network.named_parameters())


def test_a_layer_does_without_the_same_channels_for_all_tokens_and_others_for_each_passage(
    network: ReaderNetwork,
) -> None:
    recipe = replace(RECIPE, frozen=1, dropped=0.25)
    places = [f"encoder.layer.{layer}.{place}output.dense" for layer in (0, 1) for place in ("attention.", "")]
    frozen, trained = places[:2], places[2:]
    whole = {name: network.encoder.get_submodule(name) for name in places}
    widths = {name: len(next(module.parameters()).T) for name, module in whole.items()}
    inputs = {name: torch.rand(400, 3, width) + 0.5 for name, width in widths.items()}
    with torch.no_grad():
        before = {name: module(inputs[name]) for name, module in whole.items()}
        drop_channels(network, recipe)
        after = {name: module(inputs[name]) for name, module in whole.items()}
    for name in frozen:
        assert torch.equal(before[name], after[name])
    for name in trained:
        kept = after[name] != 0
        assert torch.equal(kept.all(1), kept.any(1))
        assert len(kept[:, 0].unique(dim=0)) > 300
        torch.testing.assert_close(after[name][kept], before[name][kept] / (1 - recipe.dropped))
        # 12,800 channels, of which each is kept by chance: the mean is off by .004, seldom by four times that.
        assert kept.float().mean().item() == pytest.approx(1 - recipe.dropped, abs=0.016)


def test_each_stage_goes_on_where_the_one_before_it_ended(network: ReaderNetwork, tmp_path: Path) -> None:
    few = replace(RECIPE, passes={"toy": 3})
    recipes = (few, replace(few, share=0), replace(few, share=2))
    first, second, again = command._trained(network, [ROCKET, BREAD], recipes, tmp_path / "network")
    assert second == again
    weights = [torch.load(path, weights_only=True) for path in (first, second)]
    assert any(not torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert all(torch.equal(value, weights[1][name]) for name, value in network.state_dict().items())
    mean = command.averaged([first, second])
    name = "sentence.weight"
    torch.testing.assert_close(mean[name], (weights[0][name] + weights[1][name]) / 2)


def test_heads_and_body_are_all_that_is_trained(network: ReaderNetwork) -> None:
    body, heads = trainable(network, 1)
    assert {id(one) for one in [*body, *heads]} == {id(one) for one in network.parameters() if one.requires_grad}


@pytest.mark.parametrize("seed", range(20))
def test_passages_are_chosen_without_repetition(seed: int) -> None:
    recipe = replace(RECIPE, without_answer=0.5)
    chosen = choose(ROCKET, recipe, random.Random(seed))
    assert len({id(one) for one in chosen}) == len(chosen) in (1, 2)


def test_an_altered_question_is_answered_by_nothing() -> None:
    other = unanswerable(BREAD, random.Random(3))
    assert other is not None
    assert other.question != BREAD.question
    assert not other.answerable


@pytest.fixture
def made() -> list[Example]:
    return list(made_questions([ROCKET, BREAD], 200, random.Random(5)))


def test_a_made_question_is_answered_by_its_sentence_alone(made: list[Example]) -> None:
    for one in made:
        answers = [answer for passage in one.passages for answer in passage.answers]
        assert sum(map(bool, answers)) == (0 if one.source.endswith("altered") else 1)


def test_questions_are_made_of_sentences_of_all_passages_and_some_are_altered(made: list[Example]) -> None:
    assert 40 < len(made) < 200
    sources = {one.source for one in made}
    assert sources == {"toy, made", "toy, made, altered"}
    assert {one.group for one in made} == {"space", "food"}
    answered = {
        span.of(passage.context.text)
        for one in made
        for passage in one.passages
        for span, answers in zip(passage.context.spans, passage.answers, strict=True)
        if answers
    }
    # The second passage of an example is as good as the first.
    assert "The bakery was closed in 1976 by Anna Berg." in answered
    assert "The school was closed in 1981 by Karl Holm." in answered
    for one in made:
        assert one.question.endswith("?")
        assert not one.source.endswith("altered") or not one.answerable


# Sources


def write(path: Path, *records: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def test_squad_labels_the_evidence_and_where_its_words_are(tmp_path: Path) -> None:
    paragraph = "The rocket rose at noon. It was built by Maria Lopez. Nobody was hurt."
    asked = "Who built the rocket?"
    query = {"id": "q", "text": asked, "answers": ["Maria Lopez"], "answerable": True}
    none = {"id": "n", "text": "Who paid for the rocket?", "answers": [], "answerable": False, "source_doc": "a"}
    for version in ("squad1", "squad2"):
        folder = tmp_path / version / "tune"
        write(folder / "corpus.jsonl", {"id": "a", "title": "Rockets", "text": paragraph})
        write(folder / "queries.jsonl", {**query, "source_doc": "a"}, *([none] if version == "squad2" else []))
        evidence = {"query_id": "q", "doc_id": "a", "text": "It was built by Maria Lopez.", "answer": "Maria Lopez"}
        write(folder / "evidence.jsonl", evidence)
    found = {one.question: one for one in sources.squad(tmp_path, "tune", HashingEncoder())}
    first = found[asked].passages[0]
    assert first.answers == (False, True, False)
    assert first.part is not None
    assert first.part.of(first.context.text) == "Maria Lopez"
    unanswered = found["Who paid for the rocket?"]
    assert not unanswered.answerable
    assert unanswered.passages[0].context.text == paragraph
    assert unanswered.passages[0].parts_known


def test_a_conversation_is_a_passage_in_which_each_answer_answers_its_question(tmp_path: Path) -> None:
    turns = [
        {"id": f"c#{turn}", "page": "Walter Scott", "question": f"Question {turn}?", "answer": answer}
        for turn, answer in enumerate(["He was born in Edinburgh.", "He wrote Ivanhoe in 1819.", "No."])
    ]
    write(tmp_path / "pairs" / "quac_answers.jsonl", *turns)
    found = list(sources.quac(tmp_path, HashingEncoder()))
    assert [one.question for one in found] == ["Question 0?", "Question 1?"]  # one word is no sentence
    context: Context = found[1].passages[0].context
    assert context.title == "Walter Scott"
    assert [
        span.of(context.text) for span, is_it in zip(context.spans, found[1].passages[0].answers, strict=True) if is_it
    ] == ["He wrote Ivanhoe in 1819."]
