"""Tasks as SavedModels, proved against the task before anyone can use them."""

from functools import partial

from kerasft._errors import SettingsError

VERIFIED_ROWS = 1_000
VERIFIED_FUZZ = 2_000
# In half precision the last bits depend on the kernel, and on the shape of the batch.
TOLERANCES = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 3e-3}


def export_text_classifier(task, folder, rows, pairs, signature):
    """See `TextClassifier.export`."""
    # TensorFlow: this module must import without it.
    from kerasft.serving.signatures import ClassifierFace, export_classifier
    from kerasft.serving.verify import verify_export, verify_tokenizer
    from kerasft.serving.wordpiece import WordPieceGraph

    _raise_unless_signature(signature)
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
    graph = WordPieceGraph(tokenizer.backend, tokenizer.max_length)
    texts, seconds = _samples(rows, pairs, sorted(tokenizer.backend.get_vocab()))
    verify_tokenizer(graph, tokenizer.backend, texts, seconds, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        numbers = partial(_served_numbers, task)
        verify_export(new, numbers, texts, seconds, tolerance)

    return export_classifier(folder, task, face, graph, check)


def export_token_classifier(task, folder, rows, signature):
    """See `TokenClassifier.export`."""
    from kerasft.serving.offsets import OffsetGraph
    from kerasft.serving.tag_signatures import TaggerFace, export_tagger
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_spans import verify_spans

    _raise_unless_signature(signature)
    face = TaggerFace(
        task.tag_set, task.finds_entities, limits_of(task), task.head.crf, task.overlap
    )
    if signature == "tokens":
        return export_tagger(folder, task, face)
    tokenizer = task.tokenizer
    graph = OffsetGraph(tokenizer.backend, tokenizer.max_length)
    texts, _ = _samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_spans(new, task.predict_text, texts, tolerance)

    return export_tagger(folder, task, face, graph, check)


def export_text_embedder(task, folder, rows, signature):
    """See `TextEmbedder.export`."""
    from kerasft.serving.embedding_signatures import export_embedder
    from kerasft.serving.verify import verify_export, verify_tokenizer
    from kerasft.serving.wordpiece import WordPieceGraph

    _raise_unless_signature(signature)
    if signature == "tokens":
        return export_embedder(folder, task, limits_of(task))
    tokenizer = task.tokenizer
    graph = WordPieceGraph(tokenizer.backend, tokenizer.max_length)
    texts, _ = _samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_tokenizer(graph, tokenizer.backend, texts, None, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_export(new, task.encode, texts, None, tolerance)

    return export_embedder(folder, task, limits_of(task), graph, check)


def export_question_answerer(task, folder, rows, signature):
    """See `QuestionAnswerer.export`."""
    from kerasft.serving.answer_signatures import AnswererFace, export_answerer
    from kerasft.serving.offsets import OffsetGraph
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_spans import ASKED, verify_answers

    _raise_unless_signature(signature)
    face = AnswererFace(
        limits_of(task), task.max_answer_length, task.no_answer_threshold, task.overlap
    )
    if signature == "tokens":
        return export_answerer(folder, task, face)
    tokenizer = task.tokenizer
    graph = OffsetGraph(tokenizer.backend, tokenizer.max_length)
    first, second = _samples(None, True, sorted(tokenizer.backend.get_vocab()))
    asked = [
        dict(zip(ASKED, pair, strict=True)) for pair in zip(first, second, strict=True)
    ]
    known = 0 if rows is None else min(VERIFIED_ROWS, len(rows))
    asked += [{name: rows[i][name] for name in ASKED} for i in range(known)]
    texts = [row[name] for row in asked for name in ASKED]
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_answers(new, task.predict_text, asked, tolerance)

    return export_answerer(folder, task, face, graph, check)


def export_relation_extractor(task, folder, rows, signature):
    """See `RelationExtractor.export`."""
    from kerasft.data.relation_rows import relations_of
    from kerasft.serving.offsets import OffsetGraph
    from kerasft.serving.relation_signatures import export_relations
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_relations import relations_to_ask, verify_relations

    if signature != "text":
        raise SettingsError(
            f"signature is {signature!r}; known: text. (Token ids alone would not tell "
            "where the mentions are.)"
        )
    tokenizer = task.tokenizer
    graph = OffsetGraph(tokenizer.backend, tokenizer.max_length)
    strange, _ = _samples(None, False, sorted(tokenizer.backend.get_vocab()))
    asked = relations_to_ask(strange)
    for row in (rows[i] for i in range(min(VERIFIED_ROWS, len(rows or ())))):
        places = {name: [*row[name].values()] for name in ("head", "tail")}
        asked.append({"text": row["text"], **places})
    texts = relations_of(asked).texts()
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def numbers(asked):
        return task.probabilities(task.predict_rows(relations_of(asked)))

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_relations(new, numbers, asked, tolerance)

    return export_relations(folder, task, task.labels, task.pooling, graph, check)


def export_triple_extractor(task, folder, rows, signature):
    """See `TripleExtractor.export`."""
    from kerasft.serving.offsets import OffsetGraph
    from kerasft.serving.triple_signatures import export_triples
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_relations import verify_triples
    from kerasft.tasks.triple_decoding import MOST

    _raise_unless_signature(signature)
    face = (task.labels, limits_of(task), MOST, task.overlap)
    if signature == "tokens":
        return export_triples(folder, task, *face)
    tokenizer = task.tokenizer
    graph = OffsetGraph(tokenizer.backend, tokenizer.max_length)
    texts, _ = _samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_pieces(graph.pieces, tokenizer.backend, texts, VERIFIED_FUZZ)

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        verify_triples(new, task.predict_text, texts, tolerance)

    return export_triples(folder, task, *face, graph, check)


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


def _raise_unless_signature(signature):
    if signature not in ("text", "tokens"):
        raise SettingsError(f"signature is {signature!r}; known: text, tokens.")


def limits_of(task):
    """What token ids the task takes."""
    from kerasft.serving.saving import Limits

    config = task.backbone.config
    return Limits(
        config.vocab_size, task.tokenizer.max_length, max(1, config.type_vocab_size)
    )


def _samples(rows, pairs, pieces):
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


def _served_numbers(task, texts, seconds=None):
    """Probabilities, or values, of some texts by the model in memory."""
    from kerasft.data.corpus import from_lists

    logits = task.predict_rows(from_lists(texts, text_pairs=seconds), len(texts))
    if task.problem != "regression":
        return task.probabilities(logits)
    return logits[:, 0] if logits.shape[1] == 1 else logits
