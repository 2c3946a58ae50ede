import json
from pathlib import Path
from random import Random

import pytest
import torch

from index.entailment import Scaling
from index.entailment_network import EntailmentNetwork
from index.torch_encoder import default_weights
from training.entailing.__main__ import export, start
from training.entailing.calibration import Calibration, calibrate, threshold
from training.entailing.events import event_pairs
from training.entailing.pairs import NEITHER, OPPOSES, SUPPORTS, Pair
from training.entailing.sources import answered, squad, varied
from training.entailing.train import Recipe, logits_of, train

TOKENIZER = default_weights() / "tokenizer.json"
TOY = [
    Pair("toy", "a", "Yes, yes, she stepped down.", "Did the mayor resign?", SUPPORTS),
    Pair("toy", "b", "Nothing but lies, spokesmen insisted.", "Did the mayor resign?", OPPOSES),
    Pair("toy", "c", "Rain fell on Monday", "Did the mayor resign?", NEITHER),
]


@pytest.fixture
def network() -> EntailmentNetwork:
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return EntailmentNetwork(BertModel(config), 32)


def test_padding_changes_nothing(network: EntailmentNetwork) -> None:
    network.eval()
    ids = torch.tensor([[101, 7, 102, 8, 9, 102]])
    mask, types = torch.ones_like(ids), torch.tensor([[0, 0, 0, 1, 1, 1]])
    wide = [torch.nn.functional.pad(one, (0, 5)) for one in (ids, mask, types)]
    assert torch.allclose(network(ids, mask, types), network(*wide), atol=1e-5)


def test_training_learns_the_pairs_and_leaves_a_checkpoint(network: EntailmentNetwork, tmp_path: Path) -> None:
    recipe = Recipe(rows=6, frozen=0, rate=1e-3, head_rate=3e-3, warm_up=10, dropped=0.0)
    train(network, TOKENIZER, TOY * 200, recipe, tmp_path / "made.pt")
    assert logits_of(network, TOKENIZER, TOY).argmax(-1).tolist() == [SUPPORTS, OPPOSES, NEITHER]
    saved = torch.load(tmp_path / "made.pt", weights_only=True)
    assert torch.equal(saved["relation.weight"], network.relation.weight)


def test_logits_come_in_the_order_of_the_pairs(network: EntailmentNetwork) -> None:
    forth, back = logits_of(network, TOKENIZER, TOY), logits_of(network, TOKENIZER, TOY[::-1])
    assert torch.allclose(forth, back.flip(0), atol=1e-5)


def test_a_threshold_is_the_least_that_keeps_the_precision() -> None:
    likely = torch.linspace(0.99, 0.51, 100)
    right = torch.arange(100) < 60
    chosen = threshold(likely, right, ["toy"] * 100)
    assert chosen is not None
    said = likely >= chosen
    assert right[said].float().mean() >= 0.88
    assert right[likely >= chosen - 0.01].float().mean() < 0.88


def test_there_is_no_threshold_where_too_little_is_right() -> None:
    assert threshold(torch.linspace(0.99, 0.51, 100), torch.arange(100) % 2 == 0, ["toy"] * 100) is None


def test_a_source_of_which_most_is_wrong_raises_the_threshold_for_all() -> None:
    likely = torch.linspace(0.99, 0.51, 200)
    sources = ["good", "bad"] * 100
    right = torch.tensor([source == "good" or row < 50 for row, source in enumerate(sources)])
    alone, both = threshold(likely[::2], right[::2], sources[::2]), threshold(likely, right, sources)
    assert alone is not None
    assert both is not None
    assert both > alone


def test_calibration_makes_overconfident_logits_say_less() -> None:
    chance = Random(1)
    relations = [chance.randrange(3) for _ in range(300)]
    logits = torch.zeros(300, 3)
    for row, relation in enumerate(relations):
        logits[row, relation if chance.random() < 0.7 else chance.randrange(3)] = 20.0
    fitted = calibrate([Pair("toy", str(row), "", "", relation) for row, relation in enumerate(relations)], logits)
    assert 0.6 < float(fitted.probabilities(logits).amax(-1).mean()) < 0.95


def test_what_is_exported_is_read_by_what_serves_it(tmp_path: Path) -> None:
    calibration = Calibration((1.0, 0.9, 1.1), (0.0, -0.5, 0.2), (0.8, None))
    export(start(), calibration, tmp_path)
    scaling = Scaling.of(tmp_path)
    assert scaling.scale == calibration.scale
    assert scaling.thresholds.opposes == float("inf")
    assert json.loads((tmp_path / "entailment.json").read_text())["sha256"].keys() == {"entailment.safetensors"}


@pytest.mark.parametrize(
    ("question", "answer", "statement"),
    [
        ("Who was the king of France?", "Louis XIV", "Louis XIV was the king of France."),
        ("When did Tesla sell the patent?", "1888", "Tesla sold the patent in 1888."),
        ("How many schools were closed?", "12", "12 schools were closed."),
        ("Why did he leave?", "because of rain", None),
    ],
)
def test_question_and_answer_make_a_statement(question: str, answer: str, statement: str | None) -> None:
    assert answered(question, answer) == statement


def test_a_pair_turned_into_its_opposite_has_the_opposite_relation() -> None:
    pair = Pair("toy", "a", "The council rejected the plan.", "The council rejected the plan.", SUPPORTS)
    for seed in range(40):
        made = varied(pair, Random(seed))
        negated = any(mark in made.hypothesis for mark in ("not", "n't", "never", "fail", "false", "wrong"))
        assert made.relation == (OPPOSES if negated or "incorrect" in made.hypothesis else SUPPORTS)


def test_events_leave_no_slot_open() -> None:
    for pair in event_pairs(500, Random(2)):
        assert "{" not in pair.premise + pair.hypothesis
        assert pair.hypothesis.endswith((".", "?"))


def test_squads_answers_become_pairs_with_their_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "squad1" / "tune"
    folder.mkdir(parents=True)
    text = "The tower was built in 1889. It is made of iron. The hall was opened in 1902."
    corpus = [{"id": "p", "title": "Towers", "text": text}]
    asked = [("a", "When was the tower built?", "1889", 0), ("b", "When was the hall opened?", "1902", 2)]
    sentences = text.replace(". ", ".|").split("|")
    queries = [{"id": one, "text": question} for one, question, _, _ in asked]
    evidence = [
        {"query_id": one, "doc_id": "p", "text": sentences[at], "answer": answer, "ambiguous": False}
        for one, _, answer, at in asked
    ]
    for name, rows in (("corpus", corpus), ("queries", queries), ("evidence", evidence)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = {(pair.premise, pair.hypothesis, pair.relation) for pair in squad(tmp_path, Random(1))}
    assert (sentences[0], "The tower was built in 1889.", SUPPORTS) in made
    assert (sentences[0], "The tower was built in 1902.", OPPOSES) in made
