"""Relations and triples as SavedModels, proved against the task."""

from kerasft._errors import SettingsError
from kerasft.tasks import exporting


def export_relation_extractor(task, folder, rows, signature):
    """See `RelationExtractor.export`."""
    from kerasft.data.relation_rows import relations_of
    from kerasft.serving.relation_signatures import export_relations
    from kerasft.serving.tokenizer_graphs import offset_graph
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_relations import relations_to_ask, verify_relations

    if signature != "text":
        raise SettingsError(
            f"signature is {signature!r}; known: text. (Token ids alone would not tell "
            "where the mentions are.)"
        )
    tokenizer = task.tokenizer
    graph = offset_graph(tokenizer)
    strange, _ = exporting.samples(None, False, sorted(tokenizer.backend.get_vocab()))
    asked = relations_to_ask(strange)
    for row in (rows[i] for i in range(min(exporting.VERIFIED_ROWS, len(rows or ())))):
        places = {name: [*row[name].values()] for name in ("head", "tail")}
        asked.append({"text": row["text"], **places})
    texts = relations_of(asked).texts()
    verify_pieces(graph.pieces, tokenizer.backend, texts, exporting.VERIFIED_FUZZ)

    def numbers(asked):
        return task.probabilities(task.predict_rows(relations_of(asked)))

    def check(new):
        tolerance = exporting.TOLERANCES[task.backbone.dtype_policy.name]
        verify_relations(new, numbers, asked, tolerance)

    return export_relations(folder, task, task.labels, task.pooling, graph, check)


def export_triple_extractor(task, folder, rows, signature):
    """See `TripleExtractor.export`."""
    from kerasft.serving.tokenizer_graphs import offset_graph
    from kerasft.serving.triple_signatures import export_triples
    from kerasft.serving.verify_offsets import verify_pieces
    from kerasft.serving.verify_relations import verify_triples
    from kerasft.tasks.triple_decoding import MOST

    exporting.raise_unless_signature(signature)
    face = (task.labels, exporting.limits_of(task), MOST, task.overlap)
    if signature == "tokens":
        return export_triples(folder, task, *face)
    tokenizer = task.tokenizer
    graph = offset_graph(tokenizer)
    texts, _ = exporting.samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_pieces(graph.pieces, tokenizer.backend, texts, exporting.VERIFIED_FUZZ)

    def check(new):
        tolerance = exporting.TOLERANCES[task.backbone.dtype_policy.name]
        verify_triples(new, task.predict_text, texts, tolerance)

    return export_triples(folder, task, *face, graph, check)
