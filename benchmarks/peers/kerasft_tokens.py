"""Makes a byte-level tokenizer of the job's texts, and rows of their tokens.

In: `job.texts`, JSON. Out: tokenizer files in `job.folder`; `job.tokens` with `train`
and `test`, int32 (rows, length + 1), stretches of all texts, the end of text between;
the texts themselves as `train.txt` and `test.txt` beside `job.texts`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from worker import serve

import kerasft as kft
from kerasft.data.documents import documents_of
from kerasft.data.tokenizer import Tokenizer


def start(job):
    def run() -> dict:
        texts = json.loads(Path(job.texts).read_text())
        order = np.random.default_rng(0).permutation(len(texts))
        unread = len(texts) // 10
        sides = {"test": order[:unread], "train": order[unread:]}
        for side, numbers in sides.items():
            path = Path(job.texts).with_name(f"{side}.txt")
            one_each = (" ".join(texts[i].split()) for i in numbers)
            path.write_text("\n\n".join(one_each), "utf-8")
        shutil.rmtree(job.folder, ignore_errors=True)
        kft.train_tokenizer(
            kft.TrainTokenizerSettings(
                data=[str(Path(job.texts).with_name("train.txt"))],
                out=job.folder,
                kind="gpt2",
                vocab_size=job.vocab_size,
                max_length=job.length,
            )
        )
        tokenizer = Tokenizer.from_pretrained(job.folder, job.length)
        end = tokenizer.backend.token_to_id("<|endoftext|>")
        found = {}
        for side in sides:
            rows = kft.read_documents(str(Path(job.texts).with_name(f"{side}.txt")))
            ids = documents_of(rows, tokenizer, separator=[end]).ids
            count = (len(ids) - 1) // job.length
            starts = np.arange(count)[:, None] * job.length
            found[side] = np.asarray(ids)[starts + np.arange(job.length + 1)]
        np.savez(job.tokens, **found)
        return {"vocab_size": tokenizer.vocab_size}

    return run


if __name__ == "__main__":
    serve(start, ["tokenizers"])
