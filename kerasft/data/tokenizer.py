"""Text to token ids, with the tokenizer that belongs to a checkpoint.

The Rust `tokenizers` object does the work, so ids equal the reference by
construction. Text is data: strings such as "[SEP]" inside it are encoded as plain
text, in training and in serving alike. The tokenizer files of a checkpoint are kept
byte for byte and written back as they came.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import TOKENIZER_FILES
from kerasft.checkpoints.json_files import parse_json, read_json


class Encoded(NamedTuple):
    """The token ids of some texts, one after the other.

    Args:
        ids: (tokens,) int32.
        lengths: (texts,) int32, tokens of each text.
        second_starts: (texts,) int32, where in each text's ids the tokens of type 1
            begin (its length where there are none); None without pairs.
        truncated: number of texts that were too long.
    """

    ids: np.ndarray
    lengths: np.ndarray
    second_starts: np.ndarray | None
    truncated: int


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of one checkpoint.

    Args:
        backend: the Rust tokenizer; its own padding and truncation are switched off.
        max_length: the most tokens an example may have, special tokens included.
        pad_id: the id that fills up a batch.
        files: name -> bytes of the checkpoint's tokenizer files.
    """

    backend: tokenizers.Tokenizer
    max_length: int
    pad_id: int
    files: dict[str, bytes] = field(repr=False)

    @classmethod
    def from_pretrained(cls, folder: str | Path, max_length: int, pad_id: int = 0):
        """Read the tokenizer of a local checkpoint folder.

        Raises:
            CheckpointError: the folder holds no tokenizer that can be read.
        """
        folder = Path(folder)
        files = {
            name: (folder / name).read_bytes()
            for name in TOKENIZER_FILES
            if (folder / name).is_file()
        }
        if "tokenizer.json" in files:
            backend = _read_backend(folder / "tokenizer.json")
        else:
            backend = _convert_older_folder(folder)
            files["tokenizer.json"] = backend.to_str(pretty=True).encode()
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = True
        settings = folder / "tokenizer_config.json"
        limit = read_json(settings).get("model_max_length") if settings.exists() else 0
        # Folders without a limit carry 1e30 here.
        if isinstance(limit, int) and 0 < limit < max_length:
            max_length = limit
        return cls(backend, max_length, pad_id, files)

    def shortened(self, max_length: int | None) -> "Tokenizer":
        """The same tokenizer with a smaller `max_length`.

        Raises:
            CheckpointError: the model has no positions for that length.
        """
        if max_length is None or max_length == self.max_length:
            return self
        least = self.backend.num_special_tokens_to_add(is_pair=True) + 2
        if not least <= max_length <= self.max_length:
            raise CheckpointError(
                f"max_length is {max_length}, but this checkpoint takes examples of "
                f"{least} to {self.max_length} tokens. Choose a length in between."
            )
        return Tokenizer(self.backend, max_length, self.pad_id, self.files)

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @property
    def ordinary(self) -> np.ndarray:
        """Bool (ids,): whether an id is a token of text, not a special one."""
        ids = list(self.backend.get_vocab(with_added_tokens=True).values())
        found = np.zeros(max(ids) + 1, bool)
        found[ids] = True
        added = self.backend.get_added_tokens_decoder()
        found[[i for i, token in added.items() if token.special]] = False
        return found

    @property
    def mask(self) -> str:
        """What a text has where a token is missing: "[MASK]".

        Raises:
            CheckpointError: the checkpoint's tokenizer has no such token.
        """
        found = []
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            if name in self.files:
                token = parse_json(self.files[name], name).get("mask_token")
                found.append(token.get("content") if isinstance(token, dict) else token)
        added = self.backend.get_added_tokens_decoder().values()
        special = {token.content for token in added if token.special}
        for token in (*found, "[MASK]", "<mask>"):
            if token in special:
                return token
        raise CheckpointError(
            "The checkpoint's tokenizer has no mask token, so this is no masked "
            "language model. Name it as mask_token in tokenizer_config.json, and in "
            "tokenizer.json among the added tokens."
        )

    @property
    def mask_id(self) -> int:
        """The id of `mask`."""
        return self.backend.token_to_id(self.mask)

    def reading_masks(self) -> "Tokenizer":
        """A tokenizer that takes `mask` in a text for the mask, all else as text."""
        return self._changed({self.mask: self.mask})

    @property
    def added(self) -> list[dict]:
        """The added tokens, as tokenizer.json has them: `id`, `content`, `special`."""
        return json.loads(self.backend.to_str())["added_tokens"]

    def reading_special(self) -> "Tokenizer":
        """A tokenizer that takes special tokens in a text for what they say."""
        changed = self._changed({})
        changed.backend.encode_special_tokens = False
        return changed

    def renamed(self, words: Mapping[str, str]) -> "Tokenizer":
        """A tokenizer that knows some tokens by other words, and finds them in texts.

        Args:
            words: of added tokens -> the words to look for. The old ones are plain
                text, also where the model would put them together.

        Raises:
            CheckpointError: the tokens get other ids by that.
        """
        changed = self._changed(words)
        for token in self.added:
            new = words.get(token["content"], token["content"])
            if changed.backend.token_to_id(new) != token["id"]:
                raise CheckpointError(
                    f"The checkpoint's tokenizer has a token {token['content']!r} that "
                    "cannot be told from a user's words. Use another tokenizer."
                )
        return changed

    def _changed(self, words):
        """As `renamed`; one that is not special is found in spite of the setting."""
        content = json.loads(self.backend.to_str())
        for token in content["added_tokens"]:
            token["special"] &= token["content"] not in words
            token["content"] = words.get(token["content"], token["content"])
        model = content["model"]
        if isinstance(model["vocab"], dict):
            vocab = {words.get(word, word): i for word, i in model["vocab"].items()}
        else:
            vocab = [[words.get(word, word), score] for word, score in model["vocab"]]
        model["vocab"] = vocab
        if "unk_token" in model:
            model["unk_token"] = words.get(model["unk_token"], model["unk_token"])
        backend = tokenizers.Tokenizer.from_str(json.dumps(content))
        backend.encode_special_tokens = True
        return replace(self, backend=backend)

    @property
    def fingerprint(self) -> str:
        """Changes whenever the ids of any text could change."""
        told = f"{tokenizers.__version__} {self.max_length}\n{self.backend.to_str()}"
        return hashlib.sha256(told.encode()).hexdigest()

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> "Encoded":
        """Token ids of some texts, or pairs of texts, special tokens included.

        Longer ones are cut to `max_length`; of a pair, the longer text gives first.
        """
        # Set for each call: the backend is shared by shortened copies.
        self.backend.enable_truncation(self.max_length, strategy="longest_first")
        inputs = texts if pairs is None else list(zip(texts, pairs, strict=True))
        # Without a post-processor the fast one gives second texts type 0.
        slow = pairs is not None and self.backend.post_processor is None
        encode = self.backend.encode_batch if slow else self.backend.encode_batch_fast
        encodings = encode(inputs, add_special_tokens=True)
        self.backend.no_truncation()
        rows = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, rows), "int32", len(rows))
        full = np.flatnonzero(lengths == self.max_length)
        seconds = None
        if pairs is not None:
            starts = (bisect_left(e.type_ids, 1) for e in encodings)
            seconds = np.fromiter(starts, "int32", len(rows))
        return Encoded(
            ids=np.fromiter(chain.from_iterable(rows), "int32", lengths.sum()),
            lengths=lengths,
            second_starts=seconds,
            truncated=sum(bool(encodings[i].overflowing) for i in full),
        )

    def text_of(self, *ids: int) -> str:
        """What tokens read, one after the other; special ones, too."""
        return self.backend.decode(list(ids), skip_special_tokens=False)

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer files into an existing folder."""
        for name, content in self.files.items():
            (Path(folder) / name).write_bytes(content)


def _read_backend(path):
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # The Rust side raises bare Exception.
        raise CheckpointError(
            f"{path}: cannot be read as a tokenizer ({error}). Copy the file again "
            "from where the checkpoint came."
        ) from error


def _convert_older_folder(folder):
    """Folders without tokenizer.json hold a vocabulary, or a SentencePiece model."""
    from transformers import AutoTokenizer

    # Without any of them transformers 5 makes up a vocabulary of five tokens.
    vocabularies = ("vocab.txt", "vocab.json", "spm.model", "spiece.model")
    vocabularies += ("tokenizer.model", "sentencepiece.bpe.model")
    try:
        if not any((folder / name).is_file() for name in vocabularies):
            raise OSError("none of " + ", ".join(vocabularies))
        loaded = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        return tokenizers.Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    except Exception as error:
        raise CheckpointError(
            f"{folder}: holds no tokenizer.json, and no older tokenizer files that "
            f"transformers can convert ({error}). Copy tokenizer.json, or vocab.txt "
            "with tokenizer_config.json, into the folder."
        ) from error
