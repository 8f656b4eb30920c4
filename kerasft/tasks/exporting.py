"""Tasks as SavedModels, proved against the task before anyone can use them."""

from functools import partial

from kerasft._errors import SettingsError
from kerasft.tasks.answer_decoding import N_BEST

VERIFIED_ROWS = 1_000
VERIFIED_FUZZ = 2_000
# In half precision the last bits depend on the kernel, and on the shape of the batch.
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 3e-3}


def export_text_classifier(task, folder, rows, pairs, signature):
    """See `TextClassifier.export`."""
    # TensorFlow: this module must import without it.
    from kerasft.serving.signatures import ClassifierFace, export_classifier
    from kerasft.serving.tokenizer_graphs import token_graph
    from kerasft.serving.verify import verify_export, verify_tokenizer

    raise_unless_signature(signature)
    if pairs is None:
        pairs = rows is not None and rows.has_pairs
    face = ClassifierFace(
        labels=() if task.problem == "regression" else task.labels,
        problem=task.problem,
        limits=limits_of(task),
        pairs=pairs,
    )
    if signature == "tokens":
        return export_classifier(folder, task, face)
    tokenizer = task.tokenizer
    graph = token_graph(tokenizer)
    texts, seconds = samples(rows, pairs, sorted(tokenizer.backend.get_vocab()))
    verify_tokenizer(graph, graph.reference.tokenizer, texts, seconds, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        numbers = partial(_served_numbers, task)
        verify_export(new, numbers, texts, seconds, tolerance)

    return export_classifier(folder, task, face, graph, check)


def export_token_classifier(task, folder, rows, signature):
    """See `TokenClassifier.export`."""
    from kerasft.serving.tag_signatures import TaggerFace, export_tagger
    from kerasft.serving.tokenizer_graphs import offset_graph
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_spans import verify_spans

    raise_unless_signature(signature)
    face = TaggerFace(
        task.tag_set, task.finds_entities, limits_of(task), task.head.crf, task.overlap
    )
    if signature == "tokens":
        return export_tagger(folder, task, face)
    tokenizer = task.tokenizer
    graph = offset_graph(tokenizer)
    texts, _ = samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_spans(new, task.predict_text, texts, tolerance)

    return export_tagger(folder, task, face, graph, check)


def export_text_embedder(task, folder, rows, signature):
    """See `TextEmbedder.export`."""
    from kerasft.serving.embedding_signatures import export_embedder
    from kerasft.serving.tokenizer_graphs import token_graph
    from kerasft.serving.verify import verify_export, verify_tokenizer

    raise_unless_signature(signature)
    if signature == "tokens":
        return export_embedder(folder, task, limits_of(task))
    tokenizer = task.tokenizer
    graph = token_graph(tokenizer)
    texts, _ = samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_tokenizer(graph, graph.reference.tokenizer, texts, None, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_export(new, task.encode, texts, None, tolerance)

    return export_embedder(folder, task, limits_of(task), graph, check)


def export_question_answerer(task, folder, rows, signature):
    """See `QuestionAnswerer.export`."""
    from kerasft.serving.answer_signatures import AnswererFace, export_answerer
    from kerasft.serving.tokenizer_graphs import offset_graph
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_spans import ASKED, verify_answers

    raise_unless_signature(signature)
    face = AnswererFace(
        limits_of(task), task.max_answer_length, task.no_answer_threshold, task.overlap
    )
    if signature == "tokens":
        return export_answerer(folder, task, face)
    tokenizer = task.tokenizer
    graph = offset_graph(tokenizer)
    first, second = samples(None, True, sorted(tokenizer.backend.get_vocab()))
    asked = [
        dict(zip(ASKED, pair, strict=True)) for pair in zip(first, second, strict=True)
    ]
    known = 0 if rows is None else min(VERIFIED_ROWS, len(rows))
    asked += [{name: rows[i][name] for name in ASKED} for i in range(known)]
    texts = [row[name] for row in asked for name in ASKED]
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        expected = partial(task.predict_text, n_best=N_BEST + 1)  # With "no answer".
        verify_answers(new, expected, asked, tolerance)

    return export_answerer(folder, task, face, graph, check)


def export_masked_lm(task, folder, rows, top, signature):
    """See `MaskedLM.export`."""
    from kerasft.data.corpus import from_lists
    from kerasft.serving.mask_graph import MaskGraph
    from kerasft.serving.mask_signatures import MaskFace, export_guesser
    from kerasft.serving.verify import verify_tokenizer
    from kerasft.serving.verify_guesses import verify_guesses

    raise_unless_signature(signature)
    tokenizer, size = task.tokenizer, task.backbone.config.vocab_size
    face = MaskFace(limits_of(task), tuple(map(tokenizer.text_of, range(size))), top)
    if signature == "tokens":
        return export_guesser(folder, task, face)
    graph = MaskGraph(tokenizer, tokenizer.max_length + 1)
    texts = _with_masks(task, rows)
    verify_tokenizer(graph, graph.reading, texts, None, VERIFIED_FUZZ)
    encodings = tokenizer.reading_masks().backend.encode_batch(texts)
    pairs = zip(texts, encodings, strict=True)
    short = [text for text, one in pairs if len(one.ids) <= tokenizer.max_length]

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        expected = lambda texts: task.predict_rows(from_lists(texts))  # noqa: E731
        verify_guesses(new, expected, short, face.names, tolerance)

    return export_guesser(folder, task, face, graph, check)


def export_multiple_choice(task, folder, rows, signature):
    """See `MultipleChoice.export`."""
    from kerasft.serving.choice_signatures import export_chooser
    from kerasft.serving.tokenizer_graphs import token_graph
    from kerasft.serving.verify import verify_tokenizer
    from kerasft.serving.verify_choices import verify_choices

    raise_unless_signature(signature)
    if signature == "tokens":
        return export_chooser(folder, task, limits_of(task))
    tokenizer = task.tokenizer
    graph = token_graph(tokenizer)
    asked = _strange_choices(sorted(tokenizer.backend.get_vocab()))
    known = 0 if rows is None else min(VERIFIED_ROWS, len(rows))
    asked += [rows[i] for i in range(known)]
    texts = [text for row in asked for text in (row["context"], *row["choices"])]
    verify_tokenizer(graph, graph.reference.tokenizer, texts, None, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_choices(new, task.predict_text, asked, tolerance)

    return export_chooser(folder, task, limits_of(task), graph, check)


def export_zero_shot_classifier(classifier, folder, rows):
    """See `ZeroShotClassifier.export`."""
    from kerasft.objectives.neighbours import unit_rows
    from kerasft.serving.tokenizer_graphs import token_graph
    from kerasft.serving.verify import verify_export, verify_tokenizer
    from kerasft.serving.zero_shot_signatures import ZeroShotFace, export_zero_shot

    task, sentences = classifier.task, classifier.sentences
    near, pairs = classifier.columns is None, None
    face = ZeroShotFace(
        labels=classifier.labels,
        sentences=tuple(sentences),
        vectors=unit_rows(task.encode(sentences)) if near else None,
        columns=classifier.columns,
        multi_label=classifier.multi_label,
    )
    tokenizer = task.tokenizer
    graph = token_graph(tokenizer)
    texts, _ = samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    if not near:
        pairs = [sentences[i % len(sentences)] for i in range(len(texts))]
    verify_tokenizer(graph, graph.reference.tokenizer, texts, pairs, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_export(new, classifier.scores, texts, None, tolerance)

    return export_zero_shot(folder, task, face, graph, check)


def export_tokens(task, folder, signature):
    """See `Task.export`."""
    from kerasft.serving.saving import save, tokens_function

    kind = type(task).__name__
    if signature != "tokens":
        raise SettingsError(
            f"A {kind} is served token ids alone, not strings: pass signature='tokens'."
        )
    try:
        tokens = tokens_function(task, limits_of(task), lambda y: {"logits": y})
        tokens.get_concrete_function()
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"A {kind} takes no plain token ids (batch, length), so it cannot be "
            "served. Use save_pretrained."
        ) from error
    save(folder, task, {"tokens": tokens, "serving_default": tokens})


def raise_unless_signature(signature):
    """Refuse what is neither "text" nor "tokens"."""
    if signature not in ("text", "tokens"):
        raise SettingsError(f"signature is {signature!r}; known: text, tokens.")


def limits_of(task):
    """What token ids the task takes."""
    from kerasft.serving.saving import Limits

    config = task.backbone.config
    return Limits(
        config.vocab_size, task.tokenizer.max_length, max(1, config.type_vocab_size)
    )


def samples(rows, pairs, pieces):
    """Texts to verify on, and second texts or None: the user's, and strange ones."""
    from kerasft.serving.fuzz import adversarial_texts

    texts = [] if rows is None else rows.texts(0, min(VERIFIED_ROWS, len(rows)))
    strange = list(adversarial_texts(200, 0, pieces))
    if not pairs:
        return texts + strange, None
    seconds = []
    if rows is not None and rows.has_pairs:
        seconds = rows.text_pairs(0, len(texts))
    else:
        texts = []
    return texts + strange, seconds + list(adversarial_texts(200, 1, pieces))


def _with_masks(task, rows):
    """Texts to verify on with masks in them, most of them short enough."""
    from kerasft.serving.fuzz import with_masks

    tokenizer = task.tokenizer
    texts, _ = samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    short = [text[: 2 * tokenizer.max_length] for text in texts]
    return with_masks(short, tokenizer.mask)


def _strange_choices(pieces):
    """Rows of choices to verify on, with a question and without; some are too long."""
    from kerasft.serving.fuzz import adversarial_texts

    texts = list(adversarial_texts(900, 0, pieces))
    rows = []
    for i in range(0, 900, 9):
        context, question, *choices = texts[i : i + 9]
        choices = [text if text.strip() else "x" for text in choices]
        row = {"context": context, "choices": choices[: 2 + i % 5]}
        rows.append(row | ({"question": question} if i % 2 else {}))
    return rows


def _served_numbers(task, texts, seconds=None):
    """Probabilities, or values, of some texts by the model in memory."""
    from kerasft.data.corpus import from_lists

    logits = task.predict_rows(from_lists(texts, text_pairs=seconds), len(texts))
    if task.problem != "regression":
        return task.probabilities(logits)
    return logits[:, 0] if logits.shape[1] == 1 else logits
