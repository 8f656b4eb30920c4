"""Perplexity of a 3-gram model, to see what a language model's own is worth.

    python benchmarks/trigram.py --train train.txt --test test.txt --tokenizer FOLDER
    python benchmarks/trigram.py --tokenizer FOLDER

In: texts (without files, the BBC articles, a fifth of them unread) and a tokenizer; its
ids are what is predicted, so perplexities of two tokenizers do not compare (bits a
character do). Out: one line of JSON. As of `CausalLM`, the first token of each text is
not predicted, and its end is, where the tokenizer names one.

Source: Chen & Goodman 1998, "An empirical study of smoothing techniques for language
modeling", section 4.1: interpolated modified Kneser-Ney.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import kerasft as kft
from kerasft.data.documents import documents_of
from kerasft.data.prompts import special_tokens
from kerasft.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Order:
    """Counts of n-grams that end in a token, by their context.

    Args:
        grams: (grams,) int64, sorted: context times the vocabulary, plus the token.
        counts: (grams,) how often, or in how many places, each is.
        size: of the vocabulary.
    """

    grams: np.ndarray
    counts: np.ndarray
    size: int

    @classmethod
    def of(cls, contexts, tokens, size):
        """Count the n-grams of contexts and tokens, arrays of one length."""
        grams, counts = np.unique(contexts * size + tokens, return_counts=True)
        return cls(grams, counts, size)

    @cached_property
    def discounts(self) -> np.ndarray:
        """What is taken off a count of 0, 1, 2, and 3 or more: (4,)."""
        n = np.bincount(np.minimum(self.counts, 5), minlength=6).astype(float)
        if not n[1:5].all():  # Too few n-grams to estimate it.
            return np.array([0, 0.5, 0.75, 0.75])
        y = n[1] / (n[1] + 2 * n[2])
        k = np.arange(1, 4)
        found = k - (k + 1) * y * n[2:5] / n[1:4]
        return np.append(0, np.clip(found, 0.1, k))  # Of 0 nothing new is possible.

    @cached_property
    def _by_context(self):
        """Contexts; of each the sum of its counts, and of what is taken off them."""
        contexts, first = np.unique(self.grams // self.size, return_index=True)
        taken = self.discounts[np.minimum(self.counts, 3)]
        return (
            contexts,
            np.add.reduceat(self.counts, first),
            np.add.reduceat(taken, first),
        )

    def blended(self, contexts, tokens, lower):
        """Probabilities (tokens,), given those of shorter contexts."""
        known, totals, taken = self._by_context
        place = np.minimum(np.searchsorted(known, contexts), len(known) - 1)
        seen = known[place] == contexts
        wanted = contexts * self.size + tokens
        at = np.minimum(np.searchsorted(self.grams, wanted), len(self.grams) - 1)
        count = np.where(self.grams[at] == wanted, self.counts[at], 0)
        kept = count - self.discounts[np.minimum(count, 3)]
        found = (kept + taken[place] * lower) / totals[place]
        return np.where(seen, found, lower)


class Trigram:
    """An interpolated modified Kneser-Ney model of three tokens.

    Args:
        ids: (tokens,) all texts, one after the other.
        bounds: (texts + 1,) where each begins.
        size: of the vocabulary.
    """

    def __init__(self, ids, bounds, size):
        self.size = size
        first, second, token = self._grams(ids, bounds)
        span = size + 1  # One more: what stands before a text.
        self.orders = [Order.of(first * span + second, token, size)]
        # Of shorter n-grams it counts in how many contexts they are, not how often.
        pairs = np.unique((first * span + second) * size + token) % (span * size)
        self.orders.append(Order.of(pairs // size, pairs % size, size))
        tokens = np.unique(pairs) % size
        self.orders.append(Order.of(np.zeros_like(tokens), tokens, size))

    def _grams(self, ids, bounds):
        """The two tokens before, and the token, wherever one is predicted."""
        ids = ids.astype("int64")
        start = np.zeros(len(ids) + 1, bool)
        start[bounds[:-1]] = True
        start = start[:-1]
        before = np.append(-1, ids[:-1])
        twice = np.append([-1, -1], ids[:-2])[: len(ids)]
        twice[1:][start[:-1]] = self.size
        predicted = ~start
        return twice[predicted], before[predicted], ids[predicted]

    def probabilities(self, ids, bounds) -> np.ndarray:
        """Of each token but the first of a text, given those before: (predicted,)."""
        first, second, token = self._grams(ids, bounds)
        contexts = (first * (self.size + 1) + second, second, np.zeros_like(token))
        found = np.full(len(token), 1 / self.size)
        for order, context in zip(self.orders[::-1], contexts[::-1], strict=True):
            found = order.blended(context, token, found)
        return found


def documents(files, tokenizer, end):
    """Documents of text files, or of BBC articles: those read, and those not."""
    if files[0] is None:
        from rows import bbc_rows

        # Some articles are there twice; an unread one must not have been read.
        rows = kft.from_lists(list(dict.fromkeys(text for text, _ in bbc_rows())))
        parts = kft.split(rows, (0.8, 0.2), seed=0)
    else:
        parts = [kft.read_documents(file) for file in files]
    ends = [] if end is None else [tokenizer.backend.token_to_id(end)]
    made = [documents_of(rows, tokenizer, (), ends) for rows in parts]
    return made, sum(map(len, parts[1].texts()))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help="text file, documents parted by blank lines")
    parser.add_argument("--test", help="the same, unread")
    parser.add_argument("--tokenizer", required=True, help="folder of a checkpoint")
    options = parser.parse_args(arguments)
    if (options.train is None) != (options.test is None):
        parser.error("--train and --test go together.")

    tokenizer = Tokenizer.from_pretrained(options.tokenizer, 10**9)
    end = special_tokens(tokenizer.files).get("eos_token")
    files = (options.train, options.test)
    (train, test), characters = documents(files, tokenizer, end)
    model = Trigram(train.ids, train.bounds, tokenizer.vocab_size)
    nats = -np.log(model.probabilities(test.ids, test.bounds))
    found = {
        "perplexity": float(np.exp(nats.mean())),
        "bits_a_character": float(nats.sum() / np.log(2) / characters),
        "tokens_read": len(train.ids),
        "tokens_predicted": len(nats),
    }
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main()
