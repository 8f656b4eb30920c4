"""Full rows against padded ones: how many articles a second does a GPT learn from?

Command   python benchmarks/packing.py --update-readme
Minutes   9 on two quiet cores
Expected  a line for each way: seconds of an epoch, articles a second, share of padding;
          packed 1.76 times as many articles a second as padded

A GPT-2 of ten million random weights, BBC articles, all of their tokens: an article
longer than a row goes on in another. The same model takes an epoch each way, in turn.

padded    random batches, each padded to its longest row, as a plain loop has them
grouped   kerasft's rows of one article, `CausalLM(pack=False)`: of like lengths
packed    kerasft's default: articles behind one another in full rows, none of which
          sees another
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import keras
import numpy as np
import report
import tensorflow as tf
from rows import bbc_rows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import kerasft as kft
from kerasft.models import family_of
from kerasft.models.config import from_json

SIZES = {"n_embd": 320, "n_layer": 6, "n_head": 5, "n_positions": 1024}
VOCABULARY = 8000
WAYS = ("padded", "grouped", "packed")


def save_checkpoint(folder, texts):
    """Random weights, and a tokenizer of these texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = 0
    content = {"model_type": "gpt2", "vocab_size": VOCABULARY, **SIZES}
    content |= {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    family = family_of(content)
    family.new_backbone(from_json(family, content, "config")).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')


class Padded:
    """Random batches of token ids, each padded to its longest row."""

    def __init__(self, documents, length, batch_size):
        # A row that goes on begins with the last token of the one before.
        cuts = [
            document[start : start + length]
            for document in documents
            for start in range(0, max(1, len(document) - 1), length - 1)
        ]
        order = np.random.default_rng(0).permutation(len(cuts))
        starts = range(0, len(cuts), batch_size)
        self.batches = [[cuts[i] for i in order[at : at + batch_size]] for at in starts]
        slots = sum(len(batch) * max(map(len, batch)) for batch in self.batches)
        self.padding_share = 1 - sum(map(len, cuts)) / slots

    def arrays(self):
        """Inputs and labels of each batch."""
        for rows in self.batches:
            ids = np.zeros((len(rows), max(map(len, rows))), "int32")
            mask, labels = np.zeros_like(ids), np.full_like(ids, -100)
            for i, row in enumerate(rows):
                ids[i, : len(row)] = row
                mask[i, : len(row)] = 1
                labels[i, : len(row) - 1] = row[1:]
            yield {"input_ids": ids, "attention_mask": mask}, labels

    def dataset(self):
        """The batches as a `tf.data.Dataset`."""
        spec = tf.TensorSpec((None, None), tf.int32)
        signature = {"input_ids": spec, "attention_mask": spec}, spec
        made = tf.data.Dataset.from_generator(self.arrays, output_signature=signature)
        return made.apply(tf.data.experimental.assert_cardinality(len(self.batches)))


def batches_of(way, folder, texts, options):
    """A task, what it is fitted on, and the share of padding in that."""
    keras.utils.set_random_seed(0)
    task = kft.CausalLM.from_pretrained(
        folder, max_length=options.length, pack=way == "packed"
    )
    task.compile(kft.adamw(1e-3, total_steps=10**6))
    if way == "padded":
        read = task.tokenizer.backend.encode_batch(texts, add_special_tokens=False)
        data = Padded([[*one.ids, 0] for one in read], options.length, options.rows)
        return task, data.dataset(), data.padding_share
    rows = kft.from_lists(texts)
    data = task.dataset(rows, batch_size=options.rows, training=True, seed=0)
    return task, data, data.batches.padding_share


def main():
    parser = report.own_arguments(__doc__)
    parser.add_argument("--articles", type=int, default=100)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=8, help="of a batch")
    options = parser.parse_args()
    texts = [text for text, _ in bbc_rows()]
    with tempfile.TemporaryDirectory() as place:
        save_checkpoint(Path(place), texts)
        chosen = texts[:: len(texts) // options.articles][: options.articles]
        made = {way: batches_of(way, place, chosen, options) for way in WAYS}
        seconds = {way: [] for way in WAYS}
        for run in range(-1, options.runs):  # The first one compiles.
            for way, (task, data, _) in made.items():
                start = time.perf_counter()
                task.fit(data, verbose=0)
                if run >= 0:
                    seconds[way].append(time.perf_counter() - start)
                print(f"{way} {time.perf_counter() - start:.2f} s", flush=True)
    shares = {way: share for way, (_, _, share) in made.items()}
    tell(options, seconds, shares)


def tell(options, seconds, shares):
    """The table, printed and, where asked for, written."""
    usual = median(seconds["padded"])
    lines = [
        [
            way,
            report.seconds(seconds[way]),
            f"{options.articles / median(seconds[way]):.2f}",
            f"{shares[way]:.1%}",
            f"{usual / median(seconds[way]):.2f} x",
        ]
        for way in WAYS
    ]
    header = ["rows", "epoch, s", "articles/s", "padding", "against padded"]
    about = (
        f". {options.articles} articles, rows of {options.length}, {options.rows} a "
        "batch."
    )
    found = {"seconds": seconds, "padding": shares}
    report.tell(about, report.table(header, lines), found, "packing", options)


if __name__ == "__main__":
    main()
