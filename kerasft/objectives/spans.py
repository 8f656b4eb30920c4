"""Entities in tag sequences: which runs of tags are one, as seqeval counts them.

A tag is a prefix and a type, "B-PER". Whether an entity starts, goes on or ends at a
token depends on its tag and the one before it alone, so a tagging scheme becomes three
tables over pairs of tags, and counting becomes look-ups that run inside the train step.

Sources: Ramshaw & Marcus 1995 (IOB1), Tjong Kim Sang & Veenstra 1999 (IOB2, IOE1,
IOE2); which pairs count is taken from the behaviour of seqeval 1.2.2.
"""

import numpy as np

from kerasft._errors import SettingsError

OUTSIDE = "O"

# Prefix before, prefix now, and whether the types must be the same (=) or not (!).
# "*" is any prefix. For each scheme: its prefixes, and where an entity starts, goes on
# and ends (the token before was its last).
SCHEMES = {
    "IOB1": ("IOB", "OI II! BI IB= BB=", "BI= II=", "II! IO IB BO BI! BB="),
    "IOB2": ("IOB", "*B", "BI= II=", "IO II! IB BO BI! BB"),
    "IOE1": ("IOE", "OI II! EI EE=", "II= IE=", "II! IO IE! EI= EE="),
    "IOE2": ("IOE", "OI OE EI EE II! IE!", "IE= II=", "E*"),
    "IOBES": ("IOBES", "*B *S", "BI= BE= II= IE=", "S* E*"),
    "BILOU": ("BILOU", "*B *U", "BI= BL= II= IL=", "U* L*"),
}


class TagSet:
    """The tags of a task, and where entities start and end between two of them.

    Args:
        names: tag names in label order, such as ("O", "B-PER", "I-PER").
        scheme: a key of `SCHEMES`: entities as seqeval's strict mode sees them, which
            leaves out whatever is not well formed; None: as its default mode (the
            rules of the CoNLL-2000 script), which mends what it can.

    Attributes:
        types: entity types, sorted.
        starts, inside, ends: bool (tags + 1, tags + 1): [tag before, tag now]; the last
            index stands for what is outside the sequence.
        type_of: (tags + 1,), index of each tag's type.

    Raises:
        SettingsError: an unknown scheme, or tags that it does not have.
    """

    def __init__(self, names, scheme: str | None = None):
        self.names, self.scheme = tuple(names), scheme
        tags = [_parts(name, strict=scheme is not None) for name in names]
        self._check(tags)
        tags.append((OUTSIDE, "_"))
        self.types = sorted({kind for prefix, kind in tags if prefix != OUTSIDE})
        indexes = {kind: i for i, kind in enumerate(self.types)}
        self.type_of = np.array([indexes.get(kind, 0) for _, kind in tags], "int32")
        pairs = [[(before, now) for now in tags] for before in tags]
        if scheme is None:
            self.starts, self.ends = _table(pairs, _starts), _table(pairs, _ends)
            self.inside = ~(self.starts | self.ends)
        else:
            self.starts, self.inside, self.ends = (
                _table(pairs, _matcher(patterns)) for patterns in SCHEMES[scheme][1:]
            )

    def _check(self, tags):
        if self.scheme is None:
            return
        if self.scheme not in SCHEMES:
            raise SettingsError(
                f"scheme is '{self.scheme}'; there are {', '.join(SCHEMES)}, and None."
            )
        allowed = SCHEMES[self.scheme][0]
        wrong = [
            name
            for name, (prefix, _) in zip(self.names, tags, strict=True)
            if prefix not in allowed
        ]
        if wrong:
            raise SettingsError(
                f"{self.scheme} has the prefixes {', '.join(allowed)}, so these tags "
                f"are not of it: {', '.join(wrong)}. scheme=None takes any."
            )

    @property
    def allowed(self):
        """Bool (tags + 1, tags + 1): [tag before, tag now] of well-formed sequences.

        Every tag is then part of an entity or outside; the last index is the edge of
        the sequence. Without a scheme everything is allowed.
        """
        if self.scheme is None:
            return np.ones_like(self.starts)
        outside = np.array([name == OUTSIDE for name in (*self.names, OUTSIDE)])
        must_go_on = ~outside & ~self.ends[:, -1]
        right_now = outside | self.starts | self.inside
        return right_now & ~(must_go_on[:, None] & ~self.inside)

    def entities(self, tags):
        """Entities of one sequence.

        Args:
            tags: tag ids of the tokens that count, in order.

        Returns:
            (type, start, end) of each; `end` is the place after its last token.
        """
        edge, found, begin = len(self.names), [], None
        before = edge
        for place, now in enumerate([*tags, edge]):
            if begin is not None and not self.inside[before, now]:
                if self.ends[before, now]:
                    found.append((self.types[self.type_of[before]], begin, place))
                begin = None
            if begin is None and self.starts[before, now]:
                begin = place
            before = now
        return found


def _parts(name, strict):
    """Prefix and type of a tag; a tag without a type has the type "_"."""
    rest = name[1:].strip("-") if strict else name[1:].split("-", maxsplit=1)[-1]
    return name[:1], rest or "_"


def _table(pairs, test):
    return np.array([[test(*before, *now) for before, now in row] for row in pairs])


def _matcher(patterns):
    """A test of (prefix, type) before and now against patterns as in `SCHEMES`."""

    def matches(before, kind_before, now, kind):
        for pattern in patterns.split():
            ok_types = {"=": kind == kind_before, "!": kind != kind_before}
            if (
                pattern[0] in ("*", before)
                and pattern[1] in ("*", now)
                and ok_types.get(pattern[2:], True)
            ):
                return True
        return False

    return matches


def _starts(before, kind_before, now, kind):
    """Whether an entity starts, by the rules of the CoNLL-2000 script."""
    if now == OUTSIDE:
        return False
    fresh = before in ("E", "S", OUTSIDE) and now in ("E", "I")
    return now in ("B", "S") or fresh or kind != kind_before


def _ends(before, kind_before, now, kind):
    """Whether an entity ended with the tag before, by the rules of the same script."""
    if before == OUTSIDE:
        return False
    cut = before in ("B", "I") and now in ("B", "S", OUTSIDE)
    return before in ("E", "S") or cut or kind != kind_before
