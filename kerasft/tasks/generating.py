"""Texts that a causal language model writes: all at once, or as they come."""

from functools import cached_property

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.progress import bar
from kerasft.data.windows import frame_of
from kerasft.sampling.cached import CachedDecoder
from kerasft.sampling.generate import BLOCK, Generation, traced
from kerasft.sampling.settings import Sampling

KEPT = 8  # Compiled loops.
STOP_BLOCK = 16  # Tokens between two looks for a stop string.
INCOMPLETE = "\ufffd"  # What part of a character reads.


class Generating:
    """Mixin of a task with a `backbone`, a next-token `head`, and a `tokenizer`."""

    def generate(self, prompts, *, batch_size=8, **settings):
        """Texts that go on from prompts.

        Args:
            prompts: list of str, or of conversations that an answer is asked for: lists
                of dicts with `role` and `content`.
            batch_size: prompts worked on at once; those of like length go together.
            **settings: of `kerasft.sampling.settings.Sampling`: `max_new_tokens`,
                `temperature`, `top_k`, `num_beams`, `stop`, `seed`, ...

        Returns:
            Of each prompt what follows it, a str; with `num_return_sequences` above 1 a
            list of str, the likeliest first where beams are searched.

        Raises:
            SettingsError: settings that are not known, or cannot be.
            DataError: a prompt that is neither, an empty one, or one with no room
                behind it.
        """
        ids = self._prompt_ids(prompts)
        sampling = Sampling.of(**settings)
        made = self._generated(ids, batch_size, sampling)
        texts = [
            [self._cut(self._text_after(prompt, row), sampling.stop) for row in rows]
            for prompt, rows in zip(ids, made, strict=True)
        ]
        if sampling.num_return_sequences == 1:
            return [text for (text,) in texts]
        return texts

    def generate_ids(self, prompts, *, batch_size=8, **settings):
        """Token ids that go on from prompts of token ids; arguments as of `generate`.

        Returns:
            Of each prompt a list of texts, each a list of ids without its end.
        """
        return self._generated(prompts, batch_size, Sampling.of(**settings))

    def _generated(self, prompts, batch_size, sampling):
        self._raise_unless_room(prompts, sampling)
        copies = sampling.num_return_sequences if sampling.chooses else 1
        order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
        found = [None] * len(prompts)
        with bar("Generating", len(prompts), 4 * batch_size) as advance:
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size].tolist()
                texts = self._made(prompts, chosen, copies, sampling)
                each = len(texts) // len(chosen)
                for i, number in enumerate(chosen):
                    found[number] = texts[i * each : (i + 1) * each]
                advance(len(chosen))
        return found

    def _made(self, prompts, chosen, copies, sampling):
        """All texts of some prompts, those of a prompt behind one another."""
        rows = [number * copies + copy for number in chosen for copy in range(copies)]
        repeated = [prompts[number] for number in chosen for _ in range(copies)]
        size = STOP_BLOCK if sampling.stop else BLOCK
        blocks = self._generation(sampling).blocks(repeated, rows, sampling, size)
        texts = next(blocks)
        while True:
            ended = None
            if sampling.stop and sampling.num_beams == 1:
                read = [
                    self._text_after(prompt, row)
                    for prompt, row in zip(repeated, texts, strict=True)
                ]
                ended = [any(stop in text for stop in sampling.stop) for text in read]
            try:
                texts = blocks.send(ended)
            except StopIteration:
                return texts

    def stream(self, prompt, **settings):
        """Yield what follows a prompt, piece by piece, as it is made.

        Args:
            prompt: str, or a conversation.
            **settings: as of `generate`, but for one text and without beams.
        """
        sampling = Sampling.of(**settings)
        if sampling.num_beams > 1 or sampling.num_return_sequences > 1:
            raise SettingsError(
                "stream gives one text as it is made: leave out num_beams and "
                "num_return_sequences."
            )
        (ids,) = self._prompt_ids([prompt])
        self._raise_unless_room([ids], sampling)
        blocks = self._generation(sampling).blocks([ids], [0], sampling, 1)
        told = ""
        for (row,) in blocks:
            text = self._text_after(ids, row)
            if any(stop in text for stop in sampling.stop):
                text = self._cut(text, sampling.stop)
                yield text[len(told) :]
                return
            ready = _without_tail(text, sampling.stop)
            if len(ready) > len(told):
                yield ready[len(told) :]
                told = ready
        if len(text) > len(told):
            yield text[len(told) :]

    def _generation(self, sampling):
        """The compiled generation for these settings; the last few are kept."""
        known, key = self.__dict__.setdefault("_generations", {}), traced(sampling)
        if key not in known:
            if len(known) >= KEPT:
                known.pop(next(iter(known)))
            decoder = CachedDecoder(self.backbone, self.head, self)
            known[key] = Generation(decoder, key, self.end_ids, self.tokenizer.pad_id)
        return known[key]

    def _adapters_changed(self):
        super()._adapters_changed()
        vars(self).pop("_generations", None)

    def _prompt_ids(self, prompts):
        if isinstance(prompts, str):
            raise SettingsError("generate takes a list of prompts: [prompt].")
        raise_if_any(
            f"prompt {i} is {prompt!r:.50}; give a text, or turns, a list of dicts "
            "with role and content"
            for i, prompt in enumerate(prompts)
            if not isinstance(prompt, (str, list, tuple))
        )
        return [
            self.text_ids(prompt)
            if isinstance(prompt, str)
            else self.chat(prompt, add_generation_prompt=True).ids.tolist()
            for prompt in prompts
        ]

    def text_ids(self, text):
        """Ids of a text that goes on: what opens it, and no end."""
        encode = self.tokenizer.backend.encode
        return self.opening_ids + encode(text, add_special_tokens=False).ids

    @cached_property
    def opening_ids(self) -> list[int]:
        """Ids that stand before each text."""
        return frame_of(self.tokenizer).ids[0].tolist()

    def _raise_unless_room(self, prompts, sampling):
        most = self.backbone.room
        problems = []
        for i, prompt in enumerate(prompts):
            if not prompt:
                problems.append(f"prompt {i} has no token; write something to go on")
            elif len(prompt) + sampling.max_new_tokens > most:
                problems.append(
                    f"prompt {i} has {len(prompt)} tokens, which with max_new_tokens="
                    f"{sampling.max_new_tokens} is more than the {most} positions of "
                    "the model"
                )
        raise_if_any(problems)

    def _text_after(self, prompt, made):
        """What `made` reads behind a prompt; a space between them is kept."""
        decode = self.tokenizer.backend.decode
        before, whole = decode(prompt), decode(prompt + made)
        return whole[len(before) :] if whole.startswith(before) else decode(made)

    @staticmethod
    def _cut(text, stops):
        """The text before the first stop string."""
        places = [text.find(stop) for stop in stops]
        return text[: min((place for place in places if place >= 0), default=None)]


def raise_if_any(problems):
    """Tell the first of some problems, and how many more there are.

    Raises:
        DataError: there is one.
    """
    problems = list(problems)
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise DataError("; ".join(problems[:5]) + more + ".")


def _without_tail(text, stops):
    """The text without what may be the beginning of a stop string, or half a letter."""
    text = text.rstrip(INCOMPLETE)
    for size in range(max(map(len, stops), default=1) - 1, 0, -1):
        if any(len(stop) > size and text.endswith(stop[:size]) for stop in stops):
            return text[:-size]
    return text
