"""What a `.keras` file holds of the tasks whose heads pool vectors."""

from dataclasses import asdict

from kerasft.layers.text_pooling import Pooling, Projection, VectorHead


class VectorArchive:
    """Mixin of a task whose head is a `Pooling`, or has one below its labels."""

    def form(self):
        """The pooling, the prompts and the labels."""
        head = self.head
        pooling = head if isinstance(head, Pooling) else head.pooling
        return {
            "pooling": pooling.pooling,
            "normalise": pooling.normalise,
            "projection": pooling.projection and asdict(pooling.projection),
            "prompts": self.prompts,
            "labels": list(getattr(self, "labels", ())),
        }

    @classmethod
    def from_form(cls, form, backbone, tokenizer):
        """A task with a new pooling and, where there are labels, logits of it."""
        projection = form["projection"] and Projection(**form["projection"])
        labels = tuple(form["labels"])
        name = "pooling" if labels else "head"
        head = Pooling(form["pooling"], form["normalise"], projection, name=name)
        if labels:
            head = VectorHead(head, len(labels), name="head")
        head.build((None, None, backbone.config.hidden_size))
        given = (labels, form["prompts"]) if labels else (form["prompts"],)
        return cls(backbone, head, tokenizer, *given)
