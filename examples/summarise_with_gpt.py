"""A GPT learns to sum up: the headline of an article, after "In short:".

Command   python examples/summarise_with_gpt.py --checkpoint saved_models/tiny-gpt
Minutes   13 on two cores that were busy with other work, too (12 of CPU)
Expected  perplexity of unseen headlines 303.7, 276.9, 271.7 after each epoch, with the
          checkpoint of `pretrain_tiny_gpt.py`; what it writes has the form of headlines
          and no sense (ROUGE-L 0.023 before, 0.009 after): that GPT has read for 20
          minutes. For headlines of use take a larger checkpoint

Rows: BBC articles, whose first line is the headline; the prompt is the beginning of the
text below it, and only the headline is learnt. Without --checkpoint a small GPT is
pretrained on news first (`pretrain_tiny_gpt.py`); it has seen most of these articles.
With a hub, take "distilgpt2" or "gpt2".
"""

import argparse
from pathlib import Path

import keras
import pretrain_tiny_gpt
import real_inputs

import kerasft as kft
from kerasft.training.generation_report import GenerationReport

WORDS = 80  # Of an article, that the model is given.


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub name of a GPT")
    parser.add_argument("--rows", type=int, help="take only so many articles")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--asked", type=int, default=100, help="headlines to write")
    parser.add_argument("--out", default="saved_models/headlines")
    args = parser.parse_args(argv)
    checkpoint = pretrain_tiny_gpt.checkpoint_of(args)

    keras.utils.set_random_seed(0)
    pairs = list(dict.fromkeys(headlines()))
    rows = kft.from_conversations([by_turns(*pair) for pair in pairs])
    if args.rows:
        rows, _ = kft.split(rows, (args.rows / len(rows), 1 - args.rows / len(rows)))
    train, unseen = kft.split(rows, (0.9, 0.1), seed=0)
    asked = [unseen.messages(i) for i in range(min(args.asked, len(unseen)))]

    task = kft.CausalLM.from_pretrained(checkpoint)
    before = told(task, asked)
    task.compile(kft.adamw(3e-4, warmup=0.1))
    task.fit(
        task.dataset(train, 16, training=True),
        validation_data=task.dataset(unseen, 16),
        epochs=args.epochs,
        callbacks=[kft.TensorBoard(f"tb_logs/{Path(args.out).name}")],
        verbose=2,
    )
    after = told(task, asked, shown=3)
    for name, value in after.metrics.items():
        print(f"{name}: {before.metrics[name]:.3f} before, {value:.3f} after")
    task.save_pretrained(args.out)
    print(f"\nHugging Face checkpoint: {args.out}")
    return before, after


def headlines():
    """Beginning and headline of each article."""
    for text, _ in real_inputs.bbc_rows():
        headline, _, article = text.partition("\n")
        yield " ".join(article.split()[:WORDS]), headline.strip()


def by_turns(article, headline):
    return [
        {"role": "user", "content": f"{article}\nIn short:"},
        {"role": "assistant", "content": headline},
    ]


def told(task, asked, shown=0):
    """Headlines the model writes, beside those of the editors."""
    prompts = [messages[:-1] for messages in asked]
    written = task.generate(prompts, max_new_tokens=16, num_beams=2)
    for messages, headline in list(zip(asked, written, strict=True))[:shown]:
        print(f"\n{messages[-1]['content']}\n-> {headline.strip()}")
    return GenerationReport(written, [[one[-1]["content"]] for one in asked])


if __name__ == "__main__":
    main()
