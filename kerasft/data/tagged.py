"""Tagged rows: words with a tag each, or a text with labelled spans of characters."""

from dataclasses import dataclass
from functools import cached_property

from kerasft.data.table_rows import TableRows

OUTSIDE = "O"
COLUMNS = {"words": ("words", "tags"), "spans": ("text", "spans")}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TaggedRows(TableRows):
    """Texts with tags; made by the readers, never by hand.

    `kind` is "words" (columns words, tags) or "spans" (columns text, spans, where a
    span is start, end and label, in characters). `labels` are the tags: of words, those
    of the corpus; of spans, B- and I- of each label.
    """

    kind: str
    has_labels: bool
    labels: tuple[str, ...]

    def __repr__(self):
        return f"TaggedRows({len(self):,} rows, {self.kind}, {len(self.labels)} tags)"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: its words and tags, or its text and spans."""
        return self.cells(i, COLUMNS[self.kind][: 1 + self.has_labels])

    @property
    def label_type(self) -> str:
        """Either "tags" or "none"."""
        return "tags" if self.has_labels else "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts of rows `start` to `stop`, without the latter; words with a space."""
        if self.kind == "spans":
            return self.column("text", start, stop)
        return [" ".join(words) for words in self.column("words", start, stop)]

    @cached_property
    def label_counts(self) -> dict[str, int]:
        """How many words have each tag, or how many spans each label."""
        counts = dict.fromkeys(self.labels if self.kind == "words" else (), 0)
        name = "tags" if self.kind == "words" else "spans"
        for values in self.column(name) if self.has_labels else ():
            for value in values:
                label = value if self.kind == "words" else value["label"]
                counts[label] = counts.get(label, 0) + 1
        return counts


def tag_order(names) -> tuple[str, ...]:
    """Tags in their usual order: O first, then by type, B- before I-."""

    def place(name):
        prefix, dash, kind = name.partition("-")
        if name == OUTSIDE or not dash:
            return (name != OUTSIDE, name, -1)
        return (True, kind, "BISELU".find(prefix))

    return tuple(sorted(set(names), key=place))


def tags_of_types(types, prefixes="BI") -> tuple[str, ...]:
    """The tags of some entity types: O, then one of each prefix for each type."""
    return (OUTSIDE, *(f"{p}-{kind}" for kind in sorted(types) for p in prefixes))
