import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from index.articles import Span
from index.encoding import Context
from index.frames import LONGEST_FRAME, LONGEST_QUESTION, NOTHING, QUESTION, Framer, pad

WORDS = "[PAD] [UNK] [CLS] [SEP] iran den ##ies send ##ing drone ##s it the . ? !"
START, SEPARATOR = 2, 3


def framer() -> Framer:
    """Return a framer of a few words, and of letters that make up all others."""
    letters = [f"{mark}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*WORDS.split(), *letters]))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", START), ("[SEP]", SEPARATOR)],
    )
    # As the tokenizers of models come: with limits that must not show.
    tokenizer.enable_truncation(12)
    tokenizer.enable_padding(length=12)
    return Framer(tokenizer)


FRAMER = framer()
sentences = st.lists(
    st.sampled_from(
        [
            "Iran denies it.",
            "It is 5",
            "Cafe\u0301!",
            "👩\u200d👩\u200d👧",
            "キーウで会談が。",
            "\u200d",
            "drones " * 30,
            "He said: “No.”",
        ]
    ),
    max_size=8,
)
titles = st.sampled_from(["", "Drones", "Cafe\u0301 “👩\u200d👧”", "the " * 300])
questions = st.sampled_from(["", "Did Iran send drones?", "\u200d", "the " * 300, "キーウ?"])


def context_of(title: str, sentences: list[str]) -> Context:
    spans: list[Span] = []
    for sentence in sentences:
        start = spans[-1].end + 1 if spans else 0
        spans.append(Span(start, start + len(sentence)))
    return Context(title, " ".join(sentences), tuple(spans))


@given(question=questions, title=titles, texts=sentences)
def test_every_token_of_a_sentence_lies_in_it_and_in_order(question: str, title: str, texts: list[str]) -> None:
    context = context_of(title, texts)
    [frame] = FRAMER.frames(question, [context])
    assert len(frame) == len(frame.ids) == len(frame.types) == len(frame.members) == len(frame.offsets)
    assert len(frame) <= LONGEST_FRAME
    assert frame.sentences == len(texts)
    assert (frame.ids[0], frame.ids[-1], frame.members[0], frame.members[-1]) == (START, SEPARATOR, NOTHING, NOTHING)
    read = frame.members[frame.members > QUESTION]
    assert np.all(np.diff(read) >= 0)
    for member, (start, end) in zip(frame.members, frame.offsets, strict=True):
        if member > QUESTION:
            span = context.spans[member - QUESTION - 1]
            assert span.start <= start < end <= span.end
        else:
            assert (start, end) == (0, 0)


@given(question=questions, title=titles, texts=sentences)
def test_no_letter_of_a_sentence_is_lost_before_the_end_of_the_frame(
    question: str, title: str, texts: list[str]
) -> None:
    context = context_of(title, texts)
    [frame] = FRAMER.frames(question, [context])
    if len(frame) == LONGEST_FRAME:
        return
    covered = {place for start, end in frame.offsets for place in range(start, end)}
    left = {context.text[place] for place in range(len(context.text)) if place not in covered}
    # Accents that stand alone, joiners and spaces are no tokens.
    assert left <= {" ", "\u0301", "\u200d"}


def test_a_frame_is_the_question_the_title_and_the_passage() -> None:
    [frame] = FRAMER.frames("Iran?", [Context("Drones", "It denies. Send it.", (Span(0, 10), Span(11, 19)))])
    iran, question_mark, stop = 4, 14, 13
    assert frame.ids.tolist() == [2, iran, question_mark, 3, 9, 10, stop, 11, 5, 6, stop, 7, 11, stop, 3]
    assert frame.types.tolist() == [0] * 4 + [1] * 11
    assert frame.members.tolist() == [0, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2, 3, 3, 3, 0]
    assert frame.offsets[7:14].tolist() == [[0, 2], [3, 6], [6, 9], [9, 10], [11, 15], [16, 18], [18, 19]]


def test_a_long_question_is_cut_and_leaves_room_for_the_passage() -> None:
    [frame] = FRAMER.frames("the " * 5000, [context_of("", ["Iran denies it."])])
    assert int((frame.members == QUESTION).sum()) == LONGEST_QUESTION
    assert int((frame.members == QUESTION + 1).sum()) == 5


def test_a_sentence_past_the_frame_has_no_token() -> None:
    [frame] = FRAMER.frames("Iran?", [context_of("", ["drones " * 150, "Iran denies it."])])
    assert len(frame) == LONGEST_FRAME
    assert QUESTION + 2 not in frame.members
    assert frame.sentences == 2


def test_each_passage_has_its_frame_in_order() -> None:
    contexts = [context_of(title, [text]) for title, text in (("", "it"), ("Drones", "the drones"), ("", "Iran"))]
    together = FRAMER.frames("Iran?", contexts)
    for frame, context in zip(together, contexts, strict=True):
        [alone] = FRAMER.frames("Iran?", [context])
        assert np.array_equal(frame.ids, alone.ids)
        assert np.array_equal(frame.offsets, alone.offsets)
    assert FRAMER.frames("Iran?", []) == []


@pytest.mark.parametrize("width", [None, 64])
def test_a_batch_is_padded_with_nothing(width: int | None) -> None:
    frames = FRAMER.frames("Iran?", [context_of("", ["it", "the", "it"]), context_of("Drones", ["Iran denies it."])])
    batch = pad(frames, width=width)
    assert batch.ids.shape == batch.mask.shape == batch.types.shape == batch.members.shape
    assert batch.ids.shape == (2, width or max(map(len, frames)))
    assert batch.mask.sum(axis=1).tolist() == [len(frame) for frame in frames]
    for row, frame in enumerate(frames):
        assert np.array_equal(batch.ids[row, : len(frame)], frame.ids)
        assert np.array_equal(batch.types[row, : len(frame)], frame.types)
        assert np.array_equal(batch.members[row, : len(frame)], frame.members)
        for padded in (batch.ids, batch.mask, batch.types, batch.members):
            assert not padded[row, len(frame) :].any()
    assert batch.numbers.tolist() == [1, 2, 3, 4]
