"""Text to token numbers and back: byte pairs, as GPT-2 and SmolLM2 merge them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from localbook.errors import ConfigError

# A digit stands alone; then GPT-2's words, in the letters that Python's re knows.
_WORDS = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+|\d|\s+(?=\d)| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
)


class Tokenizer:
    """Byte-pair encoding: pairs are merged in the order of their list, the first one first.

    Parameters
    ----------
    tokens : sequence of str
        By their number, in GPT-2's letters for bytes.
    merges : sequence of str
        Two parts, with a space between them.

    Examples
    --------
    >>> tokenizer = Tokenizer(["a", "b", "ab", "Ġ", "Ġab"], ["a b", "Ġ ab"])
    >>> tokenizer.encode("ab ab"), tokenizer.decode([4, 0])
    ([2, 4], ' aba')
    """

    def __init__(self, tokens: Sequence[str], merges: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self.number = {token: i for i, token in enumerate(tokens)}
        pairs = (tuple(merge.split(" ")) for merge in merges)
        self.rank = {pair: i for i, pair in enumerate(pairs)}
        self._word = lru_cache(maxsize=65536)(self._merged)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens; special ones are not looked for."""
        return [n for word in _WORDS.findall(text) for n in self._word(word)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text; bytes that are no UTF-8 become replacement marks."""
        letters = "".join(self.tokens[n] for n in numbers)
        return bytes(_BYTES[letter] for letter in letters).decode("utf-8", "replace")

    def _merged(self, word: str) -> list[int]:
        parts = [_LETTERS[byte] for byte in word.encode()]
        while len(parts) > 1:
            ranks = [self.rank.get(pair, len(self.rank)) for pair in pairwise(parts)]
            best = min(ranks)
            if best == len(self.rank):
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if lost := [part for part in parts if part not in self.number]:
            raise ConfigError(f"the tokenizer has no token for {lost[0]!r} of {word!r}.")
        return [self.number[part] for part in parts]


def _letters() -> dict[int, str]:
    """Return GPT-2's visible letter for each byte: its own where it has one."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = (byte for byte in range(256) if byte not in own)
    return {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(rest)}


_LETTERS = _letters()
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}
