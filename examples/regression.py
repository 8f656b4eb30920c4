"""Predict a number: how good or bad people find what a sentence says.

Command   python examples/regression.py
Minutes   7 on two cores that were busy with other work, too; downloads left out
Expected  held out: MAE 0.72, Pearson 0.83; always predicting the mean of the training
          scores: MAE 1.68

Rows: sentences on films and products, each with the mean score of 20 people, from -4
to 4. Epochs are fixed beforehand, so the held-out fifth chooses nothing.
TensorBoard: tensorboard --logdir tb_logs
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import real_inputs

import kerasft as kft


def sentences(count):
    """Sentences, each once, with their scores."""
    scored = real_inputs.vader_rows("films") + real_inputs.vader_rows("products")
    texts, scores = zip(*dict(scored).items(), strict=True)
    rows = kft.from_lists(texts, scores, label_type="number")
    return rows.select(np.unique(np.linspace(0, len(rows) - 1, count, dtype=int)))


def error_of_the_mean(task, train, test):
    """Mean absolute error of always predicting the mean of the training scores."""
    mean = task.label_array(train).mean()
    return float(np.abs(task.label_array(test) - mean).mean())


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub name; default: MiniLM-L6")
    parser.add_argument("--rows", type=int, default=14_300, help="sentences to use")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", default="saved_models/regression")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    train, test = kft.split(sentences(args.rows), (0.8, 0.2), seed=0)
    task = kft.TextClassifier.from_pretrained(
        args.checkpoint or real_inputs.minilm_folder(),
        problem="regression",
        max_length=128,
    )
    task.compile(kft.adamw(1e-4))
    task.fit(
        task.dataset(train, 32, training=True),
        validation_data=task.dataset(test),
        epochs=args.epochs,
        callbacks=[kft.TensorBoard(f"tb_logs/{Path(args.out).name}", validation=test)],
        verbose=2,
    )
    result = task.evaluate(task.dataset(test), return_dict=True, verbose=0)
    result["mae_of_mean"] = error_of_the_mean(task, train, test)
    print("held out: MAE {mae:.3f}, Pearson {pearson:.3f}".format(**result))
    print("the training mean: MAE {mae_of_mean:.3f}, Pearson 0".format(**result))

    texts = ["I wanted to like it, but it broke.", "Pure joy from start to end."]
    print(task.predict_text(texts))
    task.save_pretrained(args.out)
    task.export(f"{args.out}-serving", test)

    # What a server does: TensorFlow and its text ops alone.
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the ops

    serve = tf.saved_model.load(f"{args.out}-serving").signatures["serving_default"]
    print(serve(text=tf.constant(texts))["value"].numpy())
    return result


if __name__ == "__main__":
    main()
