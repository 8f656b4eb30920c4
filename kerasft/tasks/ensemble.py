"""Several classifiers that answer as one: the mean of their probabilities.

What bagging (Breiman 1996) and cross-validation leave behind: models of one kind that
saw other rows. The trap: the mean of logits is not the logit of the mean, so members
are averaged as probabilities (as values for regression) and turned back into logits;
all that reads a classifier's logits then works as before.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.tasks.exporting import export_text_classifier
from kerasft.tasks.feeding import Feeding
from kerasft.tasks.text_classifier import TextClassifier

FOLDS = "fold-*"


class Ensemble(Feeding, keras.layers.Layer):
    """The mean of text classifiers with the same labels.

    Args:
        members: tasks, one at least.

    Raises:
        SettingsError: no member, another kind of task, or labels or problems differ.
    """

    def __init__(self, members: Sequence[TextClassifier]):
        super().__init__()
        self.members = list(members)
        if not self.members:
            raise SettingsError("An ensemble needs members; give a list of tasks.")
        for member in self.members:
            if not isinstance(member, TextClassifier):
                raise SettingsError(
                    f"An ensemble is of TextClassifiers, but a member is a "
                    f"{type(member).__name__}."
                )
            if (member.labels, member.problem) != (self.labels, self.problem):
                raise SettingsError(
                    f"Members of an ensemble have the same labels and problem, but one "
                    f"has {self.problem} of {', '.join(self.labels)}, another "
                    f"{member.problem} of {', '.join(member.labels)}."
                )
        self.built = True

    @classmethod
    def from_pretrained(cls, folder, **options):
        """The folds of a cross-validation, `fold-1`, `fold-2`, ... in a folder.

        Args:
            folder: what `kerasft finetune --folds` has written.
            **options: of `TextClassifier.from_pretrained`.

        Raises:
            CheckpointError: there are none.
        """
        places = [place for place in Path(folder).glob(FOLDS) if place.is_dir()]
        if not places:
            raise CheckpointError(f"{folder}: holds no folders {FOLDS}.")
        places.sort(key=lambda place: (len(place.name), place.name))
        return cls([TextClassifier.from_pretrained(one, **options) for one in places])

    @property
    def labels(self):
        """Names of the labels, in the order of the logits."""
        return self.members[0].labels

    @property
    def problem(self):
        """ "single_label", "multi_label" or "regression"."""
        return self.members[0].problem

    @property
    def tokenizer(self):
        """The first member's; all that is served has the same."""
        return self.members[0].tokenizer

    @property
    def backbone(self):
        """The first member's."""
        return self.members[0].backbone

    @property
    def fresh_weights(self):
        """Layers of any member that were never trained."""
        return tuple(name for one in self.members for name in one.fresh_weights)

    def call(self, inputs, training=None):
        """Logits (batch, labels) of the mean probabilities, of token ids."""
        return self._combined([one(inputs, training=training) for one in self.members])

    def predict_rows(self, rows, batch_size=32):
        """The same of rows, in their order, float32 (rows, labels).

        Each member reads the rows by its own tokenizer.
        """
        logits = [member.predict_rows(rows, batch_size) for member in self.members]
        return ops.convert_to_numpy(self._combined(logits))

    def evaluate(self, rows, batch_size=32) -> dict:
        """Metric -> value on rows with labels, by the metrics of `fit`.

        Raises:
            DataError: labels that the task does not know.
            SettingsError: rows without labels.
        """
        labels = self.label_array(rows)
        if labels is None:
            raise SettingsError(f"{rows!r}: to evaluate, name the column of the label.")
        logits = self.predict_rows(rows, batch_size)
        found = {}
        for metric in self.members[0].default_metrics():
            metric.update_state(labels, logits)
            told = metric.result()
            found |= told if isinstance(told, dict) else {metric.name: told}
        return {name: float(ops.convert_to_numpy(n)) for name, n in found.items()}

    def label_array(self, rows):
        """Labels of rows as numbers, as `TextClassifier.label_array`."""
        return self.members[0].label_array(rows)

    def described(self, logits):
        """One dict a row, as `TextClassifier.described`."""
        return self.members[0].described(logits)

    def probabilities(self, logits):
        """The mean probabilities, float32 (rows, labels)."""
        return self.members[0].probabilities(logits)

    def export(self, folder, rows=None, *, pairs=None, signature="text"):
        """Write all members as one SavedModel, as `TextClassifier.export`.

        Raises:
            SettingsError: members with other tokenizers, or other lengths.
            VerificationError: it does not give what the ensemble gives.
        """
        first, *others = (
            (one.tokenizer.backend.to_str(), one.tokenizer.max_length)
            for one in self.members
        )
        if any(other != first for other in others):
            raise SettingsError(
                "One SavedModel has one tokenizer, but those of the members differ, or "
                "their max_length. Export each on its own."
            )
        export_text_classifier(self, folder, rows, pairs, signature)

    def _combined(self, logits):
        """Logits of the mean of what some logits, each (batch, labels), mean."""
        logits = ops.cast(ops.stack(logits), "float32")
        if self.problem == "regression":
            return ops.mean(logits, axis=0)
        if self.problem == "multi_label":
            yes = ops.logsumexp(ops.log_sigmoid(logits), axis=0)
            return yes - ops.logsumexp(ops.log_sigmoid(-logits), axis=0)
        shares = ops.logsumexp(ops.log_softmax(logits, axis=-1), axis=0)
        return shares - ops.log(float(len(self.members)))
