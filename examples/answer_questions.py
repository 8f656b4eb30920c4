"""Who said that? Answers cut out of news articles.

Command   python examples/answer_questions.py
Minutes   12 on two cores that were busy with other work, too (10 of CPU)
Expected  unread articles: exact match 0.008 before, 0.935 after; F1 0.050 and 0.944

Rows: BBC news. Where an article reads '"Many are worried," said Jane Doe.' the question
is 'Who said: Many are worried?'; the answer is the name as it stands there, and the
text is that paragraph with the one before it: they often name other people as well. A
fifth of the articles is kept unread.
"""

import argparse
import re

import keras
import real_inputs

import kerasft as kft

SAID = re.compile(
    r'"([^"]{30,250})[,.?!]" (?:said|says|added) ((?:[A-Z][\w\'-]+ ?)+)(?=[.,])'
)
QUOTED = 12  # Words of a question.


def articles():
    """Paragraphs of each article in which somebody speaks, reprints left out."""
    texts = dict.fromkeys(t for t, _ in real_inputs.bbc_rows() if SAID.search(t))
    return [[part for part in text.split("\n\n") if part.strip()] for text in texts]


def questions(articles, seen):
    """Questions about the paragraphs of articles; a quote is asked about once."""
    asked, contexts, answers = [], [], []
    for paragraphs in articles:
        for i, paragraph in enumerate(paragraphs):
            before = "".join(f"{part}\n" for part in paragraphs[max(0, i - 1) : i])
            for found in SAID.finditer(paragraph):
                quote = " ".join(found[1].split()[:QUOTED])
                if quote in seen:
                    continue
                seen.add(quote)
                asked.append(f"Who said: {quote}?")
                contexts.append(before + paragraph)
                start = len(before) + found.start(2)
                answers.append({"text": found[2], "start": start})
    return kft.from_questions(asked, contexts, answers)


def told(name, task, rows):
    """Print exact match and F1; give them."""
    found = kft.report_on(task, rows).metrics
    print(f"{name}: exact match {found['exact']:.3f}, F1 {found['f1']:.3f}")
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub name; default: MiniLM-L6")
    parser.add_argument("--rows", type=int, default=500, help="articles to use")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", default="saved_models/who-said")
    args = parser.parse_args(argv)

    keras.utils.set_random_seed(0)
    read = articles()
    step = max(1, len(read) // args.rows)  # Some of each topic.
    chosen, seen = read[::step][: args.rows], set()
    train = questions([one for i, one in enumerate(chosen) if i % 5], seen)
    test = questions(chosen[::5], seen)
    print(f"{len(train)} questions to train on, {len(test)} about unread articles")
    task = kft.QuestionAnswerer.from_pretrained(
        args.checkpoint or real_inputs.minilm_folder(), max_length=256
    )
    told("before", task, test)
    task.compile(kft.adamw(2e-4))
    batches = task.dataset(train, 16, training=True)
    task.fit(batches, epochs=args.epochs, verbose=2)
    metrics = told("after", task, test)

    rows = [test[i] for i in range(min(3, len(test)))]
    for row, answer in zip(rows, task.predict_text(rows), strict=True):
        accepted = row["answers"][0]["text"]
        print(f"  {row['question']}\n    {answer['answer']} (right: {accepted})")
    task.save_pretrained(args.out)
    task.export(f"{args.out}-serving", test)

    # What a server does: TensorFlow and its text ops alone.
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the ops

    serve = tf.saved_model.load(f"{args.out}-serving").signatures["serving_default"]
    texts = {name: [row[name] for row in rows] for name in ("question", "context")}
    served = serve(**{name: tf.constant(some) for name, some in texts.items()})
    print([answer.decode() for answer in served["answer"].numpy()])
    return metrics


if __name__ == "__main__":
    main()
