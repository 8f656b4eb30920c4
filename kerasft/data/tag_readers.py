"""Read tagged text: CoNLL columns, CoNLL-U, JSON lines, Python lists.

Every reader gives `TaggedRows`, or one `DataError` that lists what is wrong with file
and line.

Sources: Tjong Kim Sang & De Meulder 2003 (CoNLL columns); universaldependencies.org
(CoNLL-U, version 2).
"""

from collections.abc import Sequence

from kerasft._errors import DataError, SettingsError
from kerasft.data.faults import BadValue, Source, did_you_mean, shown
from kerasft.data.intake import Paths, files
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.table_rows import json_lines
from kerasft.data.tag_intake import gather_tagged, span_row, word_row
from kerasft.data.tagged import TaggedRows
from kerasft.data.textfile import read_blocks

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps")


def read_conll(
    path: Paths,
    word: int = 0,
    tag: int | None = -1,
    *,
    separator: str | None = None,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> TaggedRows:
    """Read one word a line, with a blank line after each sentence.

    Lines that begin with "-DOCSTART-" are skipped.

    Args:
        path: one file, or several that make one corpus.
        word: which column is the word, from 0.
        tag: which column is the tag; -1: the last; None: there are no tags.
        separator: between the columns; None: any white space.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad sentences; "skip" leaves them
            out and writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad lines, another encoding.
    """

    def parse(lines):
        rows = [line.split(separator) for line in lines]
        wanted = [column for column in (word, tag) if column is not None]
        least = max(c + 1 if c >= 0 else -c for c in wanted)
        for number, row in enumerate(rows):
            if len(row) < max(least, len(wanted)):
                raise BadValue(
                    f"{len(row)} columns in {shown(lines[number])}",
                    f"at least {max(least, len(wanted))}",
                    "Name the columns in word and tag, or the separator.",
                )
        return {
            "words": [row[word] for row in rows],
            "tags": None if tag is None else [row[tag].strip() for row in rows],
        }

    def is_comment(line):
        return line.startswith("-DOCSTART-")

    tagged = tag is not None
    return _read_sentences(path, parse, is_comment, tagged, encoding, on_bad_rows)


def read_conllu(
    path: Paths,
    tag: str | None = "upos",
    *,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> TaggedRows:
    """Read a treebank in CoNLL-U: its syntactic words, with one of the columns as tag.

    Comments, ranges of words (1-2) and empty nodes (1.1) are left out.

    Args:
        path: one file, or several.
        tag: "upos", "xpos", "deprel" or another column; None: no tags.
        encoding: as Python names it.
        on_bad_rows: as in `read_conll`.

    Raises:
        DataError: bad lines; words without a tag.
        SettingsError: no such column.
    """
    if tag is not None and tag not in CONLLU:
        raise SettingsError(
            f"tag={tag!r} is no column of CoNLL-U: {', '.join(CONLLU)}."
            f"{did_you_mean(tag, CONLLU)}"
        )
    place = None if tag is None else CONLLU.index(tag)

    def parse(lines):
        rows = [line.split("\t") for line in lines]
        for number, row in enumerate(rows):
            if len(row) != 10:
                raise BadValue(
                    f"{len(row)} columns in {shown(lines[number])}", "10, between tabs"
                )
        rows = [row for row in rows if row[0].isdigit()]
        if place is not None and any(row[place] == "_" for row in rows):
            raise BadValue(f"a word without {tag}", "a tag for each word")
        tags = None if place is None else [row[place] for row in rows]
        return {"words": [row[1] for row in rows], "tags": tags}

    def is_comment(line):
        return line.startswith("#")

    tagged = tag is not None
    return _read_sentences(path, parse, is_comment, tagged, encoding, on_bad_rows)


def read_tagged_jsonl(  # noqa: PLR0913 - the columns, each named by the user
    path: Paths,
    *,
    words: str | None = None,
    tags: str | None = None,
    text: str | None = None,
    spans: str | None = None,
    names: Sequence[str] = (),
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> TaggedRows:
    """Read one JSON object a line, with words and tags, or with a text and spans.

    Args:
        path: one file, or several.
        words: key of the list of words.
        tags: key of their tags: names, or numbers of `names`.
        text: key of the text, instead of `words`.
        spans: key of its spans: objects with start, end and label, or lists of three.
        names: names of the tags, where they are numbers.
        encoding: as Python names it.
        on_bad_rows: as in `read_conll`.

    Raises:
        DataError: bad rows; spans that overlap or lie outside their text.
        SettingsError: neither words nor text, or both.
    """
    if (words is None) == (text is None) or (tags and text) or (spans and words):
        raise SettingsError(
            "Name the keys of words and tags, or those of text and spans: "
            "words='tokens', tags='ner_tags'."
        )
    keys = tuple(key for key in (words or text, tags or spans) if key)

    def parse(raw):
        first, *second = pick(parse_object(raw), keys)
        second = second[0] if second else None
        if words:
            return word_row(first, second, names)
        return span_row(first, second)

    sources = tuple(map(Source, files(path)))
    lines = json_lines(sources, encoding)
    kind = "words" if words else "spans"
    return gather_tagged(lines, parse, kind, len(keys) > 1, sources, on_bad_rows)


def from_tags(
    words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]] | None = None
) -> TaggedRows:
    """Rows from lists of words, and a tag for each word.

    Raises:
        DataError: not as many tags as words; bad values.
    """
    return _from_lists(words, tags, "words", word_row)


def from_spans(
    texts: Sequence[str], spans: Sequence[Sequence] | None = None
) -> TaggedRows:
    """Rows from texts, and of each its spans: (start, end, label), in characters.

    Raises:
        DataError: spans that overlap or lie outside their text; bad values.
    """
    return _from_lists(texts, spans, "spans", span_row)


def _from_lists(first, second, kind, make):
    given = [None] * len(first) if second is None else list(second)
    if len(given) != len(first):
        raise DataError(
            f"There are {len(first):,} rows, but labels for {len(given):,}."
        )
    rows = ((0, i, pair) for i, pair in enumerate(zip(first, given, strict=True)))
    source = (Source(kind, indexed=True),)
    return gather_tagged(
        rows, lambda pair: make(*pair), kind, second is not None, source
    )


def _read_sentences(path, parse, is_comment, tagged, encoding, on_bad_rows):
    sources = tuple(map(Source, files(path)))

    def sentences():
        for number, source in enumerate(sources):
            held, first, line = [], 0, 0
            for block in read_blocks(source.name, encoding):
                for raw in block.split("\n")[:-1]:
                    line += 1
                    if raw.strip() and not is_comment(raw):
                        first = first if held else line
                        held.append(raw.removesuffix("\r"))
                    elif held and not raw.strip():
                        yield number, first, held
                        held = []
            if held:
                yield number, first, held

    def checked(lines):
        row = parse(lines)
        return word_row(row["words"], row["tags"])

    return gather_tagged(sentences(), checked, "words", tagged, sources, on_bad_rows)
