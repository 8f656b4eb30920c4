"""Pretraining as ELECTRA does it: which tokens of a text did not stand there?

A small generator guesses hidden tokens; what it draws is put in their place; the
discriminator, which is what one keeps, says of every token whether it was replaced.
Both are trained at once, and share their embedding tables where those are alike.

Source: Clark et al. 2020 (arXiv:2003.10555), sections 2 and 3.1.
"""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.locate import locate
from kerasft.checkpoints.tensors import TensorReader
from kerasft.data.documents import documents_of, passages_of
from kerasft.data.masking import MaskedPassages
from kerasft.data.pieces import cut
from kerasft.models import pretrained
from kerasft.models.config import from_json, to_json
from kerasft.objectives import losses, metrics
from kerasft.tasks.feeding import Fed
from kerasft.tasks.generator import (
    generator_config,
    load_generator,
    narrower,
    new_generator,
)
from kerasft.tasks.masked_task import MaskedTask

FOLDER = "generator"  # In the discriminator's folder.
LOSS_FACTOR = 50.0
FIXED_SEED = 1  # Of what is drawn in evaluation, so that it is the same each time.


class ReplacedTokenDetection(MaskedTask):
    """Logits (batch, length) that tokens are replaced.

    With `masked_positions` (batch, masked) among the inputs, as in training, a dict:
    the generator's logits `masked` (batch, masked, vocabulary), and `replaced`, float32
    (batch, length, 2), logits and tokens after what the generator drew took the places
    of the masked. The first token of an example is never replaced: it is special.

    Args:
        backbone, head, tokenizer, mask_share, whole_words: as of `MaskedTask`.
        mask_random_keep: likewise; the generator's input is as the authors' code
            makes it.
        generator: its config; None: the backbone's, narrower.
        generator_share: how wide it is then, as a share of the backbone's heads.
        pack: as of `MaskedLM`.
    """

    head_name = "replaced_token_detection"

    def __init__(
        self,
        backbone,
        head,
        tokenizer,
        *,
        mask_random_keep: tuple[float, float, float] = (0.85, 0.0, 0.15),
        generator=None,
        generator_share: float = 0.25,
        pack: bool = False,
        **options,
    ):
        options["mask_random_keep"] = mask_random_keep
        super().__init__(backbone, head, tokenizer, **options)
        self.pack = pack
        if generator is None:
            generator = narrower(backbone.config, generator_share)
        self.generator = new_generator(generator, backbone, tokenizer)
        self.noise_seed = keras.random.SeedGenerator(name="noise_seed")

    @classmethod
    def from_pretrained(cls, checkpoint, *, generator=None, revision=None, **options):
        """Load a discriminator and its generator.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            generator: likewise, of an ELECTRA with a masked-language head; None: the
                one in the folder's `generator`, else a new one.
            revision: branch, tag or commit of `checkpoint` on the hub.
            **options: as of `MaskedTask.from_pretrained`.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit.
            SettingsError: an unknown precision, or shares that cannot be.
        """
        folder = Path(locate(checkpoint, revision))
        if generator is None and (folder / FOLDER / "config.json").is_file():
            generator = folder / FOLDER
        if generator is None:
            task = super().from_pretrained(folder, **options)
            fresh = pretrained.weights_of(task.generator.head)
        else:
            place = locate(generator)
            config = generator_config(place, pretrained.read_config(folder)[0])
            task = super().from_pretrained(folder, generator=config, **options)
            fresh = load_generator(task, TensorReader(place))
        task.fresh_weights += tuple(f"{FOLDER}/{path}" for path in fresh)
        return task

    def form(self):
        """As of other tasks, with the generator's config."""
        form, own = super().form(), self.generator.backbone
        if form is None:
            return None
        config = to_json(own.family, own.config, "ForMaskedLM")
        arguments = form["arguments"] | {"generator": config}
        return form | {"arguments": arguments}

    @classmethod
    def from_form(cls, form, backbone, tokenizer):
        """As of other tasks."""
        told = form["arguments"]
        generator = from_json(backbone.family, told["generator"], "task.keras")
        arguments = told | {"generator": generator}
        return super().from_form(form | {"arguments": arguments}, backbone, tokenizer)

    def save_pretrained(self, folder):
        """Write the discriminator's Hugging Face folder, the generator's inside it.

        Raises:
            CheckpointError: the folder holds something that is no checkpoint.
        """
        with atomic_folder(folder) as new:
            self.write(new)
            (new / FOLDER).mkdir()
            self.generator.write(new / FOLDER)

    def load_saved(self, folder):
        """Load the weights of both models that `save_pretrained` has written."""
        super().load_saved(folder)
        self.generator.load_saved(Path(folder) / FOLDER)

    def call(self, inputs, training=None):
        """Compute the logits."""
        if inputs.get("masked_positions") is None:
            return self._logits(inputs, training)
        masked = self.generator(inputs, training=training)
        ids = self._with_draws(inputs, ops.stop_gradient(masked), training)
        logits = self._logits(inputs | {"input_ids": ids}, training)
        both = ops.stack([ops.cast(t, "float32") for t in (logits, ids)], axis=-1)
        return {"masked": masked, "replaced": both}

    def _logits(self, inputs, training):
        hidden = self.backbone(inputs, training=training)
        return ops.squeeze(self.head(hidden, training=training), axis=-1)

    def _with_draws(self, inputs, logits, training):
        """The text with a token drawn by the generator in each masked place."""
        ids, positions = inputs["input_ids"], inputs["masked_positions"]
        logits = ops.cast(logits, "float32")
        seed = self.noise_seed if training else FIXED_SEED
        # The largest of logits with Gumbel noise is a draw from their softmax.
        noise = keras.random.uniform(ops.shape(logits), 1e-20, 1.0, "float32", seed)
        drawn = ops.argmax(logits - ops.log(-ops.log(noise)), axis=-1)
        now = ops.take_along_axis(ids, positions, axis=1)
        drawn = ops.where(positions > 0, ops.cast(drawn, ids.dtype), now)
        rows = ops.arange(ops.shape(ids)[0], dtype=positions.dtype)[:, None]
        places = ops.stack([rows + ops.zeros_like(positions), positions], axis=-1)
        places, drawn = ops.reshape(places, (-1, 2)), ops.reshape(drawn, (-1,))
        return ops.scatter_update(ids, places, drawn)

    def default_loss(self):
        """Cross-entropy of hidden tokens, plus 50 times that of replaced or not."""
        parts = {"masked": losses.CrossEntropy(), "replaced": losses.ReplacedTokens()}
        return losses.LossSum(parts, {"replaced": LOSS_FACTOR})

    def default_metrics(self):
        """The generator's accuracy and perplexity; F1 of replaced tokens."""
        return {
            "masked": [metrics.Accuracy(), metrics.Perplexity()],
            "replaced": [metrics.ReplacedF1()],
        }

    # --- rows

    def fed(self, rows):
        """Passages of texts, tokens of which are hidden when a batch is made."""
        passages = passages_of(
            documents_of(rows, self.tokenizer), self.tokenizer, self.pack
        )
        make = MaskedPassages(passages, self.masking, all_tokens=True)
        return Fed(passages, None, rows=passages.rows, make=make)

    def predict_rows(self, rows, batch_size=32):
        """Logits that the tokens of each row's text do not belong there.

        Returns:
            Of each row float32 (tokens,), special tokens left out; a long text is
            worked on in passages.
        """
        documents = documents_of(rows, self.tokenizer)
        passages = passages_of(documents, self.tokenizer, pack=False)
        before = len(passages.frame.ids[0])

        def make(chosen, width, random):
            spans = np.stack([passages.starts[chosen], passages.stops[chosen]], -1)
            return passages.laid_out(spans[:, None], width, self.tokenizer.pad_id)[0]

        found = np.zeros(len(documents.ids), "float32")
        for chosen, logits in self.outputs(passages, batch_size, make):
            for i, row in zip(chosen, logits, strict=True):
                start, stop = passages.starts[i], passages.stops[i]
                found[start:stop] = row[before : before + stop - start]
        starts, lengths = documents.bounds[:-1], documents.lengths
        return [found[a : a + n] for a, n in zip(starts, lengths, strict=True)]

    def predict_text(self, texts, batch_size=32):
        """How likely it is that each token of a text does not belong there.

        Args:
            texts: list of str.
            batch_size: passages worked on at once.

        Returns:
            Of each text a list of dicts, one for each token: `text`, `start`, `end`
            (characters) and `score`, the probability.

        Raises:
            DataError: there is no token in any text.
        """
        from kerasft.data.corpus import from_lists

        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        scores = self.described(self.predict_rows(from_lists(list(texts)), batch_size))
        pieces = cut(self.tokenizer, list(texts))
        answers = []
        for i, (text, row) in enumerate(zip(texts, scores, strict=True)):
            here = pieces.of(i)
            places = zip(pieces.starts[here], pieces.ends[here], row, strict=True)
            answers.append(
                [
                    {"text": text[a:b], "start": int(a), "end": int(b), "score": score}
                    for a, b, score in places
                ]
            )
        return answers

    def described(self, logits):
        """Of each row the probabilities that its tokens do not belong there."""
        return [(0.5 * (1 + np.tanh(0.5 * row))).tolist() for row in logits]
