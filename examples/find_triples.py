"""Find all triples of a sentence at once: who does what, and what is how.

Command   python examples/find_triples.py
Minutes   10 on two busy cores (9 minutes of CPU)
Expected  F1 of triples 0.138, on sentences kept for the test; 300 steps are few for so
          many pairs of words, so give more --rows and --epochs

Rows: the first 1,000 sentences of the treebank PetroGold (theses about oil, in
Portuguese), four fifths to train on. Triples are (verb, "nsubj", subject), (verb,
"obj", object) and (noun, "amod", adjective), from Universal Dependencies. The
checkpoint knows English alone: what it needs it learns here.
"""

import argparse
from pathlib import Path

import keras
import real_inputs

import kerasft as kft

RELATIONS = ("amod", "nsubj", "obj")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub name; default: MiniLM-L6")
    parser.add_argument("--rows", type=int, default=1_000, help="sentences to use")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", default="saved_models/triples")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    rows = triples(real_inputs.linked_sentences()[: args.rows])
    train, test = kft.split(rows, (0.8, 0.2), seed=0)
    task = kft.TripleExtractor.from_pretrained(
        args.checkpoint or real_inputs.minilm_folder(),
        labels=RELATIONS,
        max_length=96,
    )
    task.compile(kft.adamw(3e-4))
    task.fit(
        task.dataset(train, 16, training=True),
        validation_data=task.dataset(test),
        epochs=args.epochs,
        callbacks=[kft.TensorBoard(f"tb_logs/{Path(args.out).name}", validation=test)],
        verbose=2,
    )
    report = kft.report_on(task, test)
    print(report.text())

    text = "A bacia apresenta poucos trabalhos publicados ."
    for found in task.predict_text([text])[0]:
        subject, thing = found["subject"]["text"], found["object"]["text"]
        print(f"  {subject} {found['relation']} {thing} {found['score']:.2f}")
    task.save_pretrained(args.out)
    task.export(f"{args.out}-serving", test)
    print(f"Checkpoint: {args.out}; SavedModel of strings: {args.out}-serving")
    return report.metrics


def triples(some):
    """Each sentence with its links of `RELATIONS`."""
    return kft.from_triples(
        [words for words, _ in some],
        [
            [((a, a + 1), r, (b, b + 1)) for a, r, b in links if r in RELATIONS]
            for _, links in some
        ],
    )


if __name__ == "__main__":
    main()
