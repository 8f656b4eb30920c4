"""Fine-tune a real BERT on real news, look at the result, export it, and serve it.

Command   make demo        (or: python examples/classify_news.py --epochs 2)
Minutes   9 on two cores; 11 with the environment that make demo builds
Expected  test accuracy about 0.98 (measured: 438 of 444 articles in their own topic)

The checkpoint is MiniLM-L6 (6 layers, width 384), the rows are 2,225 BBC articles on
five topics. With a model hub at hand any BERT, RoBERTa, DistilBERT or ELECTRA does:

    python examples/classify_news.py --checkpoint bert-base-uncased
"""

import argparse
import subprocess
import sys

import keras
import real_inputs

import kerasft as kft

HEADLINES = [
    "Shares slide as central bank raises interest rates again",
    "Striker signs new contract before the cup final",
    "Minister promises vote on the new education bill",
    "Phone maker unveils folding handset with longer battery life",
    "Festival jury gives its top prize to a first-time director",
]
# What a server does: TensorFlow alone, without kerasft, Keras or a tokenizer.
SERVE = """
import sys
import tensorflow as tf, tensorflow_text
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = serve(text=tf.constant(sys.argv[2:]))
for text, label, score in zip(sys.argv[2:], answer["label"], answer["score"]):
    print(f"  {label.numpy().decode():<14} {score:.3f}  {text}")
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", help="folder or hub name (default: MiniLM-L6)")
    parser.add_argument("--rows", type=int, help="take only so many articles")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="saved_models/news")
    parser.add_argument("--logs", default="tb_logs/news")
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(options.seed)
    articles = real_inputs.bbc_rows()
    texts, topics = zip(*articles, strict=True)
    rows = kft.from_lists(list(texts), list(topics))
    if options.rows:
        share = options.rows / len(rows)
        rows, _ = kft.split(rows, (share, 1 - share), options.seed, stratify=True)
    train, test = kft.split(rows, (0.8, 0.2), seed=options.seed, stratify=True)

    task = kft.TextClassifier.from_pretrained(
        options.checkpoint or real_inputs.minilm_folder(),
        labels=rows.labels,
        max_length=128,
    )
    batches = task.dataset(train, batch_size=16, training=True, seed=options.seed)
    print(
        f"{len(train)} articles to train on, {len(test)} to test on; {len(batches)} "
        f"steps an epoch, {batches.batches.padding_share:.1%} padding"
    )
    task.compile(optimizer=kft.adamw(5e-5, warmup=0.1))
    task.fit(
        batches,
        validation_data=task.dataset(test, batch_size=32),
        epochs=options.epochs,
        callbacks=[kft.TensorBoard(options.logs, validation=test)],
    )

    outputs = task.probabilities(task.predict_rows(test))
    truth = task.label_array(test)
    print(kft.report(task.labels, task.problem, truth, outputs).text())
    task.save_pretrained(options.out)
    served = f"{options.out}-serving"
    task.export(served, rows=test)

    print("\nThe SavedModel alone, in a process with TensorFlow only:", flush=True)
    subprocess.run([sys.executable, "-c", SERVE, served, *HEADLINES], check=True)
    print(
        f"\nHugging Face checkpoint: {options.out}\nSavedModel: {served}\n"
        f"TensorBoard: {options.logs}\n\nWhat to run next:\n"
        "  source .venv/bin/activate\n"
        f"  kerasft inspect {options.out}\n"
        "  tensorboard --logdir tb_logs\n"
        "  kerasft finetune --checkpoint FOLDER_OR_NAME --train my.csv --text review "
        "--label stars --out saved_models/mine"
    )
    return task


if __name__ == "__main__":
    main()
