"""Train a tokenizer on texts: the first step of a model that begins with nothing.

Files of texts in; a folder with tokenizer.json out, which `transformers.AutoTokenizer`
and `kerasft pretrain --tokenizer` load. Texts are streamed, so they may be larger than
memory; the counts of their words may not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kerasft.training.column_settings import (
    ColumnSettings,
    DocumentSettings,
    TextSettings,
)
from kerasft.training.settings import Files, at_least, setting
from kerasft.workflows.console import RESULTS
from kerasft.workflows.run_folder import unused

BATCH, SAMPLE = 1000, 1000  # texts
WHY = "Another tokenizer would not fit what was made with that one"


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerSettings(TextSettings, DocumentSettings):
    """Tokenizer."""

    data: Files = setting(
        help="files of texts: .txt, .csv, .tsv, .jsonl or .parquet", positional=False
    )
    out: str = setting(help="folder of the tokenizer, a new one")
    kind: Literal["gpt2", "llama3", "wordpiece", "unigram"] = setting(
        "gpt2",
        "gpt2, llama3: byte-level BPE; wordpiece: as BERT's; unigram: as XLM-R's",
    )
    vocab_size: int = setting(
        32_000, "most entries, special tokens included", at_least(1)
    )
    lowercase: bool = setting(False, "fold case and accents, for wordpiece")
    min_frequency: int = setting(
        2, "how often a pair of pieces must occur to become one", at_least(1)
    )
    special_tokens: list[str] | None = setting(
        None, "further special tokens, such as those of a chat template"
    )
    max_length: int = setting(
        1024, "tokens of the models it is for, told in its files", at_least(1)
    )
    on_bad_rows: Literal["error", "skip"] = setting(
        "error", "stop, or leave bad rows out and list them in rejected.csv"
    )

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if self.lowercase and self.kind != "wordpiece":
            problems.append(f"lowercase goes with wordpiece, not with {self.kind}.")
        more = self.special_tokens or []
        if len(set(more)) < len(more) or not all(token.strip() for token in more):
            problems.append("special_tokens: a token is blank, or stands there twice.")
        return problems


def train_tokenizer(settings: TrainTokenizerSettings) -> Path:
    """Train a tokenizer on texts, and write the files that transformers load.

    Returns:
        The folder.

    Raises:
        KerasftError: settings or texts that do not fit; nothing has been written then.
    """
    from kerasft.checkpoints.folders import TOKENIZER_FILES, atomic_folder
    from kerasft.data.progress import SHOWN_FROM
    from kerasft.data.vocabulary import KINDS, learned, tokenizer_files

    folder = unused(settings.out, (*TOKENIZER_FILES, "config.json"), WHY)
    rows = _rows(settings)
    kind, more = KINDS[settings.kind], settings.special_tokens or []
    starts = range(0, len(rows), BATCH)
    tokenizer = learned(
        (rows.texts(start, start + BATCH) for start in starts),
        kind,
        settings.vocab_size,
        lowercase=settings.lowercase,
        min_frequency=settings.min_frequency,
        more_special=more,
        rows=len(rows),
        show_progress=len(rows) >= SHOWN_FROM,
    )
    files = tokenizer_files(tokenizer, kind, settings.max_length, more)
    with atomic_folder(folder, mark="tokenizer.json", own_files=TOKENIZER_FILES) as new:
        for name, content in files.items():
            (new / name).write_bytes(content)
    _tell(folder, tokenizer, rows)
    return folder


def _rows(settings):
    import kerasft as kft
    from kerasft.workflows.row_files import read_rows
    from kerasft.workflows.tag_job import shared_ending

    if shared_ending(settings.data) == ".txt":
        return kft.read_documents(
            settings.data, settings.documents, encoding=settings.encoding
        )
    columns = ColumnSettings(
        text=settings.text,
        label=None,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
    )
    return read_rows(settings.data, columns, settings.on_bad_rows)


def _tell(folder, tokenizer, rows):
    texts = rows.texts(0, SAMPLE)
    found = tokenizer.encode_batch(texts, add_special_tokens=False)
    tokens = sum(len(encoding.ids) for encoding in found)
    RESULTS.print(
        f"{folder}: {tokenizer.get_vocab_size():,} entries; "
        f"{sum(map(len, texts)) / max(1, tokens):.2f} characters a token "
        f"in the first {len(texts):,} texts."
    )
