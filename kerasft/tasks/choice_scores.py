"""Which of some words goes on from a prompt best, by their likelihood.

Prompt and choice are tokenised as one text, and the tokens that end behind the prompt
are the choice's: so a word that is one token with the space before it stays one.

The trap: likely words win over rare ones whatever is asked, and short ones over long
ones; `normalise` says what is done about it.

Sources: Brown et al. 2020 (arXiv:2005.14165), section 2.4; Holtzman et al. 2021
(arXiv:2104.08315), section 3, for "prior".
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.packing import Stretches, one_per_row
from kerasft.tasks.generating import raise_if_any

NORMALISE = ("none", "tokens", "characters", "prior")


@dataclass(frozen=True)
class Continued:
    """A prompt with a choice behind it.

    Args:
        ids: of both.
        scored: (tokens,) bool, those of the choice.
    """

    ids: list[int]
    scored: np.ndarray


class ScoringChoices:
    """Mixin of a task that generates: it has `_log_likelihoods` of packed rows."""

    def score_choices(self, prompts, choices, normalise="none", *, prior="", **options):
        """How likely each choice is, as what follows a prompt.

        Args:
            prompts: list of str, or of conversations that an answer is asked for.
            choices: list of str, the same for all prompts; or a list of them for each.
                Nothing is put between: after "The film is" a choice is " good".
            normalise: what log-likelihoods are made of before they are compared.
                "none": as they are; "tokens": divided by the choice's tokens;
                "characters": by its characters; "prior": less that of the choice behind
                `prior`, so that it counts how much the prompt makes it likelier.
            prior: what stands there in place of the prompt; "": nothing but what opens
                a text, which is its end where a model knows no beginning.
            **options: `batch_size`, choices worked on at once.

        Returns:
            Of each prompt a dict: `choice`, the best one, its `index` and `score` (its
            probability); `probabilities` of all, which sum to 1; `log_likelihoods`.

        Raises:
            SettingsError: another `normalise`, or no list.
            DataError: no choice, an empty one, prompts that are empty or too long, or
                choices that no token ends in.
        """
        if normalise not in NORMALISE:
            known = ", ".join(NORMALISE)
            raise SettingsError(f"normalise is {normalise!r}; known: {known}.")
        choices = _of_each(prompts, choices)
        continued = self._continued(prompts, choices)
        logs = self._sums(continued, **options)
        measure = {
            "none": lambda: np.ones(len(logs)),
            "prior": lambda: np.ones(len(logs)),
            "tokens": lambda: [one.scored.sum() for one in continued],
            "characters": lambda: [len(text) for some in choices for text in some],
        }
        scores = logs / np.asarray(measure[normalise](), "float64")
        if normalise == "prior":
            texts = list(dict.fromkeys(text for some in choices for text in some))
            plain = self._continued([prior], [texts], opened=True)
            known = dict(zip(texts, self._sums(plain, **options), strict=True))
            scores = scores - [known[text] for some in choices for text in some]
        return _compared(choices, logs, scores)

    def _continued(self, prompts, choices, opened=False):
        """Tokens of each prompt with each of its choices.

        Raises:
            DataError: those that cannot be scored, all of them told.
        """
        most = self.backbone.room
        found, problems = [], []
        for i, (prompt, some) in enumerate(zip(prompts, choices, strict=True)):
            for text in some:
                one = self._together(prompt, text, opened)
                found.append(one)
                if len(one.ids) > most:
                    problems.append(
                        f"prompt {i} with {text[:30]!r} has {len(one.ids)} tokens, the "
                        f"model {most} positions"
                    )
                elif one.scored[0]:
                    problems.append(
                        f"prompt {i} has no token for {text[:30]!r} to follow; write "
                        "something to go on from"
                    )
                elif not one.scored.any():
                    problems.append(f"prompt {i}: no token of {text[:30]!r} ends in it")
        raise_if_any(problems)
        return found

    def _together(self, prompt, choice, opened):
        if not isinstance(prompt, str):
            return self._answered(prompt, choice)
        opening = self.opening_ids
        if opened and not opening:
            opening = list(self.end_ids[:1])
        encoding = self.tokenizer.backend.encode(
            prompt + choice, add_special_tokens=False
        )
        ends = np.array(encoding.offsets, "int64").reshape(-1, 2)[:, 1]
        scored = np.append(np.zeros(len(opening), bool), ends > len(prompt))
        return Continued(opening + encoding.ids, scored)

    def _answered(self, messages, choice):
        """A conversation whose answer the choice is; its end is not scored."""
        start = len(self.chat.template.render(messages, add_generation_prompt=True))
        answer = {"role": "assistant", "content": choice}
        tokens = self.chat([*messages, answer])
        stop = start + len(choice)
        if tokens.text[start:stop] != choice:
            raise DataError(
                f"The chat template does not put {choice[:30]!r} behind its prompt as "
                "it is, so it cannot be scored. Give prompts as texts."
            )
        scored = (tokens.ends > start) & (tokens.starts < stop)
        return Continued(tokens.ids.tolist(), scored)

    def _sums(self, continued, batch_size=32):
        """Log-likelihood of the choice in each, float64."""
        ids = np.concatenate([np.asarray(one.ids, "int32") for one in continued])
        bounds = np.append(0, np.cumsum([len(one.ids) for one in continued]))
        examples = Stretches(
            ids, bounds[:-1], bounds[1:], np.concatenate([o.scored for o in continued])
        )
        most = self.backbone.room
        packed = one_per_row(examples, most, self.tokenizer.pad_id)
        sums = np.zeros(len(continued))
        for chosen, logs, counted in self._log_likelihoods(packed, batch_size):
            sums[chosen] = (logs.astype("float64") * counted).sum(1)
        return sums


def _of_each(prompts, choices):
    """The choices of each prompt.

    Raises:
        SettingsError, DataError: they are none.
    """
    if isinstance(prompts, str) or isinstance(choices, str):
        raise SettingsError("score_choices takes lists: [prompt], [choice, choice].")
    if not len(prompts):
        raise DataError("There is no prompt.")
    if all(isinstance(text, str) for text in choices):
        choices = [list(choices)] * len(prompts)
    if len(choices) != len(prompts):
        raise DataError(
            f"There are {len(prompts)} prompts and {len(choices)} lists of choices."
        )
    bad = [i for i, some in enumerate(choices) if not len(some) or not all(some)]
    if bad:
        told = ", ".join(map(str, bad[:5]))
        raise DataError(f"Prompts {told} have no choice, or an empty one.")
    return choices


def _compared(choices, logs, scores):
    """One dict a prompt, as of `score_choices`."""
    found, start = [], 0
    for some in choices:
        here = slice(start, start + len(some))
        parts = np.exp(scores[here] - scores[here].max())
        chances, best = (parts / parts.sum()).tolist(), int(scores[here].argmax())
        found.append(
            {
                "choice": some[best],
                "index": best,
                "score": chances[best],
                "probabilities": chances,
                "log_likelihoods": logs[here].tolist(),
            }
        )
        start = here.stop
    return found
