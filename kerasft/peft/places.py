"""Where in a model a method can work: its layers, by our names and Hugging Face's.

A place is named as users know it: `q_proj`, `block_0/attention/q_proj`, `query`,
`bert.encoder.layer.0.attention.self.query`; or several at once by a preset.
"""

import re
from dataclasses import dataclass, replace

from kerasft._errors import SettingsError
from kerasft.checkpoints.names import expand
from kerasft.layers.dense import Dense
from kerasft.layers.next_token import TiedDense

# What peft calls a task, by ours.
TASK_TYPES = {
    "text_classifier": "SEQ_CLS",
    "token_classifier": "TOKEN_CLS",
    "question_answerer": "QUESTION_ANS",
    "causal_lm": "CAUSAL_LM",
    "text_embedder": "FEATURE_EXTRACTION",
}
# Ends of the names of heads that are trained as a whole, whatever the checkpoint held.
TRAINED_HEADS = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}
PROJECTIONS = ("q_proj", "v_proj", "qkv_proj")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
MLP = ("up_proj", "gate_proj", "gate_up_proj", "down_proj")
PRESETS = {
    "attention": "projections to queries and values (or the one that gives them all)",
    "attention-all": "all projections of the attention",
    "mlp": "all projections of the MLP",
    "all-linear": "every linear layer but those of the labels or the vocabulary",
}


@dataclass(frozen=True)
class Place:
    """One layer of a model.

    Args:
        path: ours, below the backbone or the head.
        theirs: name of the module in the `transformers` model.
        layer: the layer itself.
        in_head: whether it is the head's.
    """

    path: str
    theirs: str
    layer: object
    in_head: bool

    @property
    def name(self):
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def block(self):
        """Number of its block; None outside of them."""
        found = re.search(r"(?:^|/)block_(\d+)/", self.path)
        return int(found[1]) if found else None

    def is_called(self, name):
        """Whether `name` is its own, or the end of it, in either spelling."""
        return any(
            full == name or full.endswith(end + name)
            for full, end in ((self.path, "/"), (self.theirs, "."))
        )


class Places:
    """All layers with weights of a backbone and its head.

    Args:
        backbone: a `Backbone`.
        head_name: key of `family.heads`, or that of a task without such a head.
        head: the built layer.
        fresh: paths of the head's weights that came from no checkpoint.
        tokenizer: the checkpoint's, or None.
        checkpoint: name or folder that it all came from, or None.
    """

    def __init__(
        self, backbone, head_name, head, fresh=(), *, tokenizer=None, checkpoint=None
    ):
        self.backbone, self.head = backbone, head
        self.tokenizer, self.checkpoint = tokenizer, checkpoint
        self.head_name, self.fresh = head_name, frozenset(fresh)
        self.family = backbone.family
        self.has_head = head_name in self.family.heads
        self.all = [*self._of_backbone(), *self._of_head()]

    def _of_backbone(self):
        """Yield its places."""
        names = expand(self.family.rows, self.backbone.config.num_blocks)
        # Without a head as `AutoModel` names them.
        prefix = "" if self.has_head else self.family.prefix
        for path, layer in layers_below(self.backbone):
            if path in names:
                yield Place(path, names[path].removeprefix(prefix), layer, False)

    def _of_head(self):
        """Yield its places; a head that `transformers` has not is named as here."""
        rows = _own_names(self.head)
        if self.has_head:
            rows = dict(self.family.heads[self.head_name].rows)
        for path, layer in layers_below(self.head):
            if path in rows:
                if isinstance(layer, TiedDense):
                    layer.see(self.backbone.token_table)
                yield Place(path, rows[path], layer, True)

    def untie(self, kernel):
        """Give the logits a matrix of their own, where they had the token embedding's.

        Returns:
            What undoes it, a function without arguments.
        """
        tied = self.head.untie(kernel)
        self._tell_tied(False)

        def undo():
            self.head.tie(tied)
            self._tell_tied(True)

        return undo

    def _tell_tied(self, tied):
        self.backbone.config = replace(self.backbone.config, tied=tied)
        self.all = [*self._of_backbone(), *self._of_head()]

    @property
    def blocks(self):
        """(path, `Block`) of each block that has weights of its own."""
        count = self.backbone.config.num_blocks
        return [
            (f"block_{i}", getattr(self.backbone, f"block_{i}")) for i in range(count)
        ]

    @property
    def trained_head(self):
        """Ends of the names of the head's modules that are trained as a whole."""
        return TRAINED_HEADS.get(TASK_TYPES.get(self.head_name), ())

    def trains_whole(self, place):
        """Whether a layer is the head's and trained as it is, with any method."""
        if not place.in_head:
            return False
        if not self.has_head:
            return place.name == "logits"
        ends = self.trained_head
        return any(part.endswith(ends) for part in place.theirs.split(".") if ends)

    def weight(self, place, name):
        """Full path of a weight: "head/logits/kernel"."""
        return f"{'head' if place.in_head else 'backbone'}/{place.path}/{name}"

    def chosen(self, targets, kinds=(Dense,), layers=None, exclude=()):
        """Places that `targets` name, in the order of the model.

        Args:
            targets: a preset, a regular expression that a whole name fits, or names.
            kinds: classes of layers that may be among them.
            layers: numbers of blocks that alone count; None: all.
            exclude: names of places to leave out.

        Raises:
            SettingsError: a name that fits nothing, or nothing at all is left.
        """
        able = [
            place
            for place in self.all
            if isinstance(place.layer, kinds) and not self.trains_whole(place)
        ]
        found, lost = _named(able, targets)
        found = [
            place
            for place in found
            if (layers is None or place.block in layers)
            and not any(place.is_called(name) for name in exclude)
        ]
        if lost or not found:
            raise SettingsError(_nothing(targets, lost, able))
        return found

    def in_blocks(self, names):
        """Linear layers of the blocks with one of these last names."""
        return [
            place
            for place in self.all
            if place.name in names
            and place.block is not None
            and isinstance(place.layer, Dense)
        ]


def layers_below(layer, path=""):
    """Yield (path, layer) of each layer below one, by the names of the attributes."""
    for child in layer._layers:
        below = f"{path}/{child.name}" if path else child.name
        yield below, child
        yield from layers_below(child, below)


def _own_names(head):
    return {path: f"head.{path}".replace("/", ".") for path, _ in layers_below(head)}


def _named(able, targets):
    """Places that are meant, and names that fit none."""
    if isinstance(targets, str):
        if targets in PRESETS:
            return _of_preset(able, targets), []
        try:
            pattern = re.compile(targets)
        except re.error as error:
            raise SettingsError(
                f"targets is {targets!r}, which is no preset "
                f"({', '.join(PRESETS)}) and no regular expression ({error})."
            ) from error
        fits = pattern.fullmatch
        return [p for p in able if fits(p.path) or fits(p.theirs)], []
    targets = tuple(targets)
    found = [p for p in able if any(p.is_called(name) for name in targets)]
    lost = [name for name in targets if not any(p.is_called(name) for p in able)]
    return found, lost


def _of_preset(able, preset):
    if preset == "all-linear":
        last = ("logits", "decoder", "crf")
        return [
            place
            for place in able
            if isinstance(place.layer, Dense)
            and not (place.in_head and place.path.rpartition("/")[2] in last)
        ]
    names = {"attention": PROJECTIONS, "attention-all": ATTENTION, "mlp": MLP}[preset]
    return [p for p in able if p.block is not None and p.name in names]


def _nothing(targets, lost, able):
    """What to say when targets fit nothing."""
    ours = sorted({place.name for place in able})
    theirs = sorted({place.theirs.rpartition(".")[2] for place in able})
    asked = ", ".join(lost) if lost else targets
    return (
        f"targets: {asked} fits no layer of this model that the method can work on. "
        f"Presets: {', '.join(PRESETS)}. Names: {', '.join(ours)}; or as Hugging Face "
        f"has them: {', '.join(theirs)}."
    )
