"""Report on generated texts: how near the references they are, and how varied.

BLEU and chrF are sacrebleu's, 0 to 100; ROUGE is rouge-score's F1, and distinct-n a
share, 0 to 1: each on the scale of its own library.

The trap: rouge-score's own words are runs of a to z and digits, so a Chinese text has
none and its ROUGE would be 0. That is refused; give `split` to say what words are.

Sources: Papineni et al. 2002 and Post 2018 (arXiv:1804.08771) for BLEU; Popović 2015
for chrF; Lin 2004 for ROUGE; Li et al. 2016 (arXiv:1510.03055), section 5.3, for
distinct-n.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from kerasft._errors import DataError
from kerasft.training.metrics_report import MetricsReport
from kerasft.training.quality import Mistake

ROUGES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
ROUGE_WORD = re.compile("[a-z0-9]", re.IGNORECASE)
SHOWN = 20


class GenerationReport(MetricsReport):
    """Quality of generated texts.

    Args:
        generated: texts.
        references: of each a text, or a list of several that are as good.
        tokenize: how BLEU cuts words, as sacrebleu names it: "13a" (of English and the
            like), "zh", "ja-mecab", "ko-mecab", "char".
        split: what cuts a text into words, for ROUGE and distinct-n; None: of ROUGE
            rouge-score's own way, of distinct-n white space.

    Raises:
        DataError: not as many texts as references, what is no text, references without
            a word.
    """

    def __init__(
        self,
        generated: Sequence[str],
        references: Sequence[str | Sequence[str]],
        tokenize: str = "13a",
        split: Callable[[str], list[str]] | None = None,
    ):
        self.generated = list(generated)
        self.references = _listed(self.generated, references, split)
        bleu = BLEU(tokenize=tokenize)
        most = max(map(len, self.references))
        streams = [
            [some[i] if i < len(some) else None for some in self.references]
            for i in range(most)
        ]
        found = bleu.corpus_score(self.generated, streams)
        self.signature = str(bleu.get_signature())
        scorer = RougeScorer(list(ROUGES.values()), tokenizer=_Words.of(split))
        rouges = [
            scorer.score_multi(some, text)
            for some, text in zip(self.references, self.generated, strict=True)
        ]
        self.rouge_l = [row["rougeL"].fmeasure for row in rouges]
        words = [(split or str.split)(text) for text in self.generated]
        super().__init__(
            {
                "bleu": found.score,
                "chrf": CHRF().corpus_score(self.generated, streams).score,
                **{
                    name: np.mean([row[theirs].fmeasure for row in rouges])
                    for name, theirs in ROUGES.items()
                },
                **{f"distinct_{n}": distinct(words, n) for n in (1, 2, 3)},
                "length_ratio": found.sys_len / max(1, found.ref_len),
            }
        )

    def text(self):
        """One line a number, and how BLEU was worked out."""
        return f"{super().text()}\nBLEU: {self.signature}"

    def mistakes(self, most=20):
        """The texts that share least with their first reference, by ROUGE-L."""
        worst = np.argsort(self.rouge_l, kind="stable")[:most]
        return [
            Mistake(int(i), self.references[i][0], self.generated[i], self.rouge_l[i])
            for i in worst
        ]


def distinct(words: Iterable[Sequence[str]], n: int) -> float:
    """Share of the n-grams of all texts that are different ones; 0 where none is.

    Args:
        words: of each text.
        n: how many words together.
    """
    grams = [tuple(text[i : i + n]) for text in words for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


class _Words:
    """A way to split, as rouge-score takes it."""

    def __init__(self, split):
        self.tokenize = split

    @classmethod
    def of(cls, split):
        return None if split is None else cls(split)


def _listed(generated, references, split):
    """Of each text the list of its references.

    Raises:
        DataError: as of `GenerationReport`.
    """
    if not generated or len(generated) != len(references):
        raise DataError(
            f"There are {len(generated):,} generated texts and {len(references):,} "
            "references; give a reference, or several, for each, and one text at least."
        )
    found = [
        [some] if isinstance(some, str) else list(some or ()) for some in references
    ]
    faults = []
    for i, (text, some) in enumerate(zip(generated, found, strict=True)):
        if not isinstance(text, str):
            faults.append(f"generated[{i}] is {text!r:.60}, expected a text")
        if not some or not all(isinstance(one, str) for one in some):
            faults.append(f"references[{i}] is {some!r:.60}, expected one text or more")
        elif split is None and not all(map(ROUGE_WORD.search, some)):
            faults.append(
                f"references[{i}] has no word of a to z or digits: {some!r:.60}; give "
                "split, such as str.split or list"
            )
    if faults:
        more = f"\n  … and {len(faults) - SHOWN:,} more." if faults[SHOWN:] else ""
        shown = "\n  ".join(faults[:SHOWN])
        raise DataError(f"{len(faults):,} texts cannot be compared:\n  {shown}{more}")
    return found
