import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from index.pairs import LONGEST_HYPOTHESIS, LONGEST_PAIR, PairFramer, pad
from index.torch_encoder import default_weights

WORDS = st.lists(st.sampled_from(["iran", "drones", "denies", "👩\u200d👧", "会談", "", "unbelievably,"]), max_size=200)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(default_weights() / "tokenizer.json"))


@pytest.fixture(scope="module")
def framer() -> PairFramer:
    return PairFramer(Tokenizer.from_file(str(default_weights() / "tokenizer.json")))


def test_a_short_pair_is_framed_as_the_tokenizer_frames_it(framer: PairFramer, tokenizer: Tokenizer) -> None:
    [frame] = framer.frames([("Iran denies it.", "Did Iran send drones?")])
    wanted = tokenizer.encode("Did Iran send drones?", "Iran denies it.")
    assert frame.ids.tolist() == [one for one in wanted.ids if one]
    assert frame.types.tolist() == wanted.type_ids[: len(frame)]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_both_sides_begin_whole_and_only_ends_are_cut(
    framer: PairFramer, words: list[tuple[list[str], list[str]]]
) -> None:
    pairs = [(" ".join(premise), " ".join(hypothesis)) for premise, hypothesis in words]
    for frame, (premise, hypothesis) in zip(framer.frames(pairs), pairs, strict=True):
        first, second = (framer._tokenizer.encode(text, add_special_tokens=False).ids for text in (hypothesis, premise))
        ids, split = frame.ids.tolist(), int((frame.types == 0).sum())
        assert len(frame) <= LONGEST_PAIR
        assert ids[1 : split - 1] == first[:LONGEST_HYPOTHESIS]
        assert ids[split - 1] == ids[-1] != ids[0]
        kept = ids[split:-1]
        assert kept == second[: len(kept)]
        assert len(kept) == len(second) or len(frame) == LONGEST_PAIR
        assert sorted(frame.types.tolist()) == frame.types.tolist()


def test_padding_is_masked(framer: PairFramer) -> None:
    frames = framer.frames([("Iran denies it.", "Did it?"), ("It was a Monday in August.", "Did it?")])
    batch = pad(frames, width=32)
    assert batch.ids.shape == batch.mask.shape == batch.types.shape == (2, 32)
    assert batch.mask.sum(axis=1).tolist() == [*map(len, frames)]
    for row, frame in enumerate(frames):
        assert batch.ids[row, : len(frame)].tolist() == frame.ids.tolist()
    assert not np.any(batch.ids[batch.mask == 0])
    assert not np.any(batch.types[batch.mask == 0])
    assert pad(frames).ids.shape == (2, len(frames[1]))
