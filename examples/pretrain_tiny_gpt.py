"""Begin with random weights: a GPT of 10 million learns to write news, from news alone.

Command   python examples/pretrain_tiny_gpt.py
Minutes   about 20 on two cores (38 of CPU; 32 beside other work)
Expected  perplexity of 222 articles that were kept unread: 311.0 after the first epoch,
          229.3 after the second; what it writes has the sound of news, and no sense

Rows: 2,225 BBC articles, of which a tenth is kept unread. A byte-level tokenizer is
trained on the others first. Texts lie behind one another in rows that are all full, and
none sees another. For your own texts: `kerasft train-tokenizer`, then `kerasft
pretrain --objective clm`.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import real_inputs

import kerasft as kft

SIZES = {"model_type": "gpt2", "n_embd": 320, "n_layer": 6, "n_head": 5}
PROMPTS = ["The prime minister said", "England captain", "Shares in the company"]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, help="take only so many articles")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--length", type=int, default=256, help="tokens of a row")
    parser.add_argument("--out", default="saved_models/tiny-gpt")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    rows = kft.from_lists([text for text, _ in real_inputs.bbc_rows()])
    if args.rows:
        rows, _ = kft.split(rows, (args.rows / len(rows), 1 - args.rows / len(rows)))
    train, unread = kft.split(rows, (0.9, 0.1), seed=0)

    with tempfile.TemporaryDirectory() as place:
        tokenizer = trained_tokenizer(train, Path(place), args)
        task = kft.CausalLM.from_scratch(
            {**SIZES, "n_positions": args.length, "eos_token_id": 0}, tokenizer
        )
    batches = task.dataset(train, 16, training=True)
    share = batches.batches.padding_share
    print(
        f"{task.count_params():,} weights, {len(batches)} steps of "
        f"{16 * args.length:,} tokens an epoch, {share:.2%} padding"
    )
    task.compile(kft.adamw(1e-3, warmup=0.05))
    logs = f"tb_logs/{Path(args.out).name}"
    task.fit(
        batches,
        validation_data=task.dataset(unread, 16),
        epochs=args.epochs,
        callbacks=[kft.TensorBoard(logs), kft.TextSamples(PROMPTS, logs, tell=print)],
        verbose=2,
    )
    told = task.evaluate(task.dataset(unread, 16), return_dict=True, verbose=0)
    print(f"perplexity of unread articles: {told['perplexity']:.1f}")
    written = task.generate(
        PROMPTS, max_new_tokens=args.length // 8, temperature=0.8, top_p=0.95
    )
    for prompt, text in zip(PROMPTS, written, strict=True):
        print(f"\n{prompt} ...{text}")
    task.save_pretrained(args.out)
    print(
        f"\nHugging Face checkpoint: {args.out}\n"
        f"Next: python examples/dialogue.py --checkpoint {args.out}"
    )
    return told


def checkpoint_of(args):
    """The checkpoint that `--checkpoint` names, else the one that is made here."""
    if args.checkpoint is not None:
        return args.checkpoint
    folder = "saved_models/tiny-gpt" + ("" if args.rows is None else "-few-rows")
    if not Path(folder, "config.json").exists():
        few = [] if args.rows is None else ["--rows", "60", "--epochs", "1"]
        main(["--out", folder, *few])
    return folder


def trained_tokenizer(rows, place, args):
    """A folder with a byte-level tokenizer of these texts."""
    path = place / "texts.txt"
    path.write_text("\n".join(rows.texts()), "utf-8")
    settings = kft.TrainTokenizerSettings(
        data=[str(path)],
        out=str(place / "tokenizer"),
        kind="gpt2",
        vocab_size=args.vocab_size,
        max_length=args.length,
    )
    return kft.train_tokenizer(settings)


if __name__ == "__main__":
    main()
