import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.adapters.text_tokenizer import MERGES, ClipTokenizer, clean, split_words
from vrestore.errors import WeightsError

TOKENIZER = ClipTokenizer()


def test_vocabulary_is_that_of_clip():
    assert len(TOKENIZER.numbers) == len(TOKENIZER.words) == 49408
    assert (TOKENIZER.start, TOKENIZER.end) == (49406, 49407)
    assert TOKENIZER.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert TOKENIZER.encode("") == []


def test_words_are_cut_as_clip_does():
    cut = split_words("it's 32k, don't \"stop\"'ll²½ a_b<start_of_text>x'tis")
    assert cut == ["it", "'s", "3", "2", "k", ",", "don", "'t", '"', "stop", "\"'", "ll", "²", "½", "a", "_", "b",
                   "<start_of_text>", "x", "'t", "is"]  # fmt: skip
    assert TOKENIZER.encode("<end_of_text>") == [TOKENIZER.end]


def test_text_is_mended():
    assert clean("  Tom &amp;amp; Jerry\n\t“wow”  it’s ﬁne Ｆull\u3000width\x07 e\u0301 ") == (
        'tom & jerry "wow" it\'s fine full width é'
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_tokens_that_say_it_again(text):
    tokens = TOKENIZER.encode(text)
    assert all(0 <= token < 49408 for token in tokens)
    if not {TOKENIZER.start, TOKENIZER.end} & set(tokens):
        assert TOKENIZER.decode(tokens).replace(" ", "") == clean(text).replace(" ", "")


def test_a_long_text_is_cut_and_what_is_cut_is_told():
    tokens, cut = TOKENIZER.tokenize("one two three Four", 5)
    assert tokens == [49406, *TOKENIZER.encode("one two three"), 49407]
    assert cut == "four"
    assert TOKENIZER.tokenize("one", 5) == ([49406, *TOKENIZER.encode("one"), 49407, 0, 0], "")


def test_merges_of_a_release_are_read(tmp_path):
    official = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    more = '"bpe_simple_vocab_16e6.txt#version: 0.2\n' + MERGES.read_text(encoding="utf-8") + "left over\nlines too\n"
    official.write_bytes(gzip.compress(more.encode()))
    assert ClipTokenizer(official).numbers == TOKENIZER.numbers


@pytest.mark.parametrize("content", [b"", b"a b\n", b"\x1f\x8bnot gzip", b"\xff\xfe", b"one\n" * 50000])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "merges.txt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"merges\.txt"):
        ClipTokenizer(tmp_path / "merges.txt")
    with pytest.raises(WeightsError, match="cannot be read"):
        ClipTokenizer(tmp_path / "none.txt")
