"""How text is generated, as one frozen, checked dataclass."""

from dataclasses import dataclass, fields
from numbers import Real

from kerasft._errors import SettingsError


@dataclass(frozen=True)
class Sampling:
    """Settings of generation.

    Args:
        max_new_tokens: the most tokens that are made.
        min_new_tokens: before so many no end is chosen.
        temperature: logits are divided by it; 0: the likeliest token is taken.
        top_k: only so many of the likeliest tokens can be chosen; 0: all.
        top_p: only the fewest likeliest tokens that have at least this share of the
            probability (Holtzman et al. 2020, arXiv:1904.09751).
        min_p: only tokens with at least this share of the likeliest one's probability
            (Nguyen et al. 2024, arXiv:2407.01082).
        typical_p: only the tokens whose surprise is nearest to the expected one, that
            have this share of the probability (Meister et al. 2022, arXiv:2202.00666).
        repetition_penalty: logits of tokens that are there, prompt included, are
            divided by it, or multiplied if below 0 (Keskar et al. 2019,
            arXiv:1909.05858).
        frequency_penalty: subtracted from a token's logit each time it was made.
        no_repeat_ngram_size: no stretch of so many tokens comes twice, prompt included;
            0: any may.
        num_beams: texts that are followed side by side; 1: no beam search.
        length_penalty: of beams: a text's log-likelihood is divided by its length to
            this power.
        early_stopping: of beams: whether the search ends as soon as there are
            `num_beams` texts; else it goes on while a better one is likely.
        penalty_alpha: weight of unlikeness to the tokens before, among `top_k`
            candidates: contrastive search (Su et al. 2022, arXiv:2202.06417); 0: none.
        num_return_sequences: texts for each prompt.
        stop: a text ends before the first of these strings.
        seed: of the choices; the same texts for the same list of prompts.

    Raises:
        SettingsError: numbers out of bounds, or that exclude each other, all at once.
    """

    max_new_tokens: int = 128
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False
    penalty_alpha: float = 0.0
    num_return_sequences: int = 1
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        object.__setattr__(self, "stop", tuple(self.stop))
        problems = [
            f"{name} is {getattr(self, name)!r}, expected {words}"
            for name, (fits, words) in BOUNDS.items()
            if not fits(getattr(self, name))
        ]
        problems = problems or list(_exclusions(self))
        if problems:
            raise SettingsError("; ".join(problems) + ".")

    @property
    def chooses(self) -> bool:
        """Whether chance has a say."""
        return self.temperature > 0

    @classmethod
    def of(cls, **settings) -> "Sampling":
        """Settings by name.

        Raises:
            SettingsError: a name that there is not.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise SettingsError(
                f"generate does not know {', '.join(unknown)}; it knows "
                f"{', '.join(known)}."
            )
        return cls(**settings)


def _integer(low):
    return (
        lambda value: type(value) is int and value >= low,
        f"an integer of at least {low}",
    )


def _number(fits, words):
    return (
        lambda value: (
            isinstance(value, Real) and not isinstance(value, bool) and fits(value)
        ),
        words,
    )


BOUNDS = {
    "max_new_tokens": _integer(1),
    "min_new_tokens": _integer(0),
    "temperature": _number(lambda v: 0 <= v < 1e6, "a number of at least 0"),
    "top_k": _integer(0),
    "top_p": _number(lambda v: 0 < v <= 1, "above 0, at most 1"),
    "min_p": _number(lambda v: 0 <= v <= 1, "0 to 1"),
    "typical_p": _number(lambda v: 0 < v <= 1, "above 0, at most 1"),
    "repetition_penalty": _number(lambda v: 0 < v < 1e6, "a number above 0"),
    "frequency_penalty": _number(lambda v: abs(v) < 1e6, "a number"),
    "no_repeat_ngram_size": _integer(0),
    "num_beams": _integer(1),
    "length_penalty": _number(lambda v: abs(v) < 100, "a number"),
    "early_stopping": (lambda value: isinstance(value, bool), "true or false"),
    "penalty_alpha": _number(lambda v: 0 <= v <= 1, "0 to 1"),
    "num_return_sequences": _integer(1),
    "stop": (
        lambda value: all(isinstance(text, str) and text for text in value),
        "strings that are not empty",
    ),
    "seed": (
        lambda value: type(value) is int and 0 <= value < 2**31,
        "an integer from 0 to below 2 to the 31st",
    ),
}


def _exclusions(settings):
    """Sentences about settings that cannot be had together."""
    beams = settings.num_beams > 1
    if settings.min_new_tokens > settings.max_new_tokens:
        yield "min_new_tokens is more than max_new_tokens"
    if beams and settings.chooses:
        yield "num_beams needs temperature=0: beams are searched, not drawn"
    if settings.penalty_alpha and (beams or settings.chooses):
        yield "penalty_alpha needs num_beams=1 and temperature=0"
    if settings.penalty_alpha and settings.top_k < 2:
        yield "penalty_alpha needs top_k of at least 2, its candidates"
    cuts = settings.top_p < 1 or settings.min_p or settings.typical_p < 1
    cuts = cuts or (settings.top_k and not settings.penalty_alpha)
    if cuts and not settings.chooses:
        yield "top_k, top_p, min_p and typical_p need a temperature above 0"
    most = settings.num_beams if beams else 1
    if settings.num_return_sequences > most and not settings.chooses:
        yield (
            "num_return_sequences needs a temperature above 0, or at least as many "
            "num_beams: the likeliest text is one"
        )
