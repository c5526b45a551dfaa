"""CLIP's tokenizer: lower-case byte-pair encoding, as in openai/CLIP and open_clip."""

from __future__ import annotations

import gzip
import html
import os
import re
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from vrestore.errors import WeightsError

MERGES = Path(__file__).parent / "data" / "clip_bpe_merges.txt"
MERGE_COUNT = 49152 - 256 - 2
START, END = "<start_of_text>", "<end_of_text>"
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
WORD_END = "</w>"

# What word processors put in the place of plain characters.
PLAIN = {
    **dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
    "\u3000": " ",
    "\ufeff": "",
}
# Forms of width and ligatures, which stand for other characters.
FORMS = re.compile("[\uff01-\uffee\ufb00-\ufb06]")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]")


class ClipTokenizer:
    """Prompts to the 49 408 numbers that CLIP's text towers know.

    Text is mended (HTML entities, typographic quotes, ligatures, full-width letters, control characters; NFC), runs of
    white space become one space, and letters lower case. Garbled encodings ("cafÃ©") stay as they are, where open_clip
    would guess what was meant.

    Args:
        merges: a file of merges, such as ``bpe_simple_vocab_16e6.txt.gz``; None is the one of the package.

    Raises:
        WeightsError: the file is missing or holds too few merges.
    """

    def __init__(self, merges: str | os.PathLike | None = None):
        ranked = _read_merges(Path(merges) if merges is not None else MERGES)
        letters = list(_byte_letters().values())
        words = [*letters, *(letter + WORD_END for letter in letters), *("".join(pair) for pair in ranked)]
        self.numbers = {word: number for number, word in enumerate([*words, START, END])}
        self.words = {number: word for word, number in self.numbers.items()}
        self._ranks = {pair: rank for rank, pair in enumerate(ranked)}
        self._known: dict[str, list[int]] = {}
        self.start, self.end = self.numbers[START], self.numbers[END]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without the marks of start and end."""
        return [token for word in split_words(clean(text)) for token in self._encode_word(word)]

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens: lower case, a space behind each word."""
        letters = "".join(self.words[token] for token in tokens if token not in (self.start, self.end))
        back = {letter: byte for byte, letter in _byte_letters().items()}
        parts = (bytes(back[letter] for letter in word) for word in letters.split(WORD_END))
        return b" ".join(parts).decode("utf-8", errors="replace").strip()

    def tokenize(self, text: str, length: int = 77) -> tuple[list[int], str]:
        """Tokens of the length that a text tower takes.

        Args:
            text: any text.
            length: start and end included, >= 2.

        Returns:
            `length` tokens, with zeros behind the end, and the text that did not fit ('' where all did).
        """
        tokens = self.encode(text)
        kept, cut = tokens[: length - 2], tokens[length - 2 :]
        padding = [0] * (length - 2 - len(kept))
        return [self.start, *kept, self.end, *padding], self.decode(cut) if cut else ""

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            if word in (START, END):
                self._known[word] = [self.numbers[word]]
            else:
                letters = [_byte_letters()[byte] for byte in word.encode("utf-8")]
                letters[-1] += WORD_END
                self._known[word] = [self.numbers[piece] for piece in self._merge(letters)]
        return self._known[word]

    def _merge(self, pieces: list[str]) -> list[str]:
        """Join neighbours, the pair of the lowest rank first, until no known pair is left."""
        while len(pieces) > 1:
            pairs = set(pairwise(pieces))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, MERGE_COUNT))
            if best not in self._ranks:
                break
            joined: list[str] = []
            i = 0
            while i < len(pieces):
                if tuple(pieces[i : i + 2]) == best:
                    joined.append("".join(best))
                    i += 2
                else:
                    joined.append(pieces[i])
                    i += 1
            pieces = joined
        return pieces


def clean(text: str) -> str:
    """Mend a text, join its white space and lower its case."""
    text = html.unescape(html.unescape(text))
    text = "".join(PLAIN.get(character, character) for character in text)
    text = FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize("NFC", CONTROLS.sub("", text))
    return " ".join(text.split()).lower()


def split_words(text: str) -> list[str]:
    """Cut a cleaned text: marks of start and end, contractions, runs of letters, single digits, runs of other signs."""
    words, i = [], 0
    while i < len(text):
        special = next((s for s in (START, END, *CONTRACTIONS) if text.startswith(s, i)), None)
        kind = _kind(text[i])
        stop = i + (len(special) if special else 1)
        if special is None and kind in "LO":
            while stop < len(text) and _kind(text[stop]) == kind:
                stop += 1
        if kind != " ":
            words.append(text[i:stop])
        i = stop
    return words


def _kind(character: str) -> str:
    """L of a letter, N of a number, a space, O of any other."""
    if character.isspace():
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "O"


@cache
def _byte_letters() -> dict[int, str]:
    """A visible letter for each of the 256 bytes: its own where it has one, else one from 256 on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {**{byte: chr(byte) for byte in visible}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise WeightsError(f"the tokenizer's merges {path} cannot be read: {error}") from error
    lines = text.split("\n")
    lines = lines[1:] if "#version" in lines[0] else lines
    pairs = [tuple(line.split()) for line in lines[:MERGE_COUNT]]
    if len(pairs) < MERGE_COUNT or any(len(pair) != 2 for pair in pairs):
        raise WeightsError(
            f"{path} holds no merges of CLIP's tokenizer: {MERGE_COUNT} lines of two pieces each should be in it, as "
            f"in bpe_simple_vocab_16e6.txt.gz"
        )
    return [(first, second) for first, second in pairs]
