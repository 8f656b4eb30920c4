"""Causal language models as SavedModels, proved against the task."""

from kerasft._errors import SettingsError
from kerasft.tasks.exporting import (
    TOLERANCES,
    VERIFIED_FUZZ,
    limits_of,
    raise_unless_signature,
    samples,
)

VERIFIED_PROMPTS = 60
USUAL_TOKENS = 64


def export_causal_lm(task, folder, rows, max_new_tokens, signature):
    """See `CausalLM.export`."""
    from kerasft.data.windows import frame_of
    from kerasft.serving.generation_signatures import (
        WriterFace,
        WriterGraph,
        export_writer,
    )
    from kerasft.serving.tokenizer_graphs import text_graph, token_graph
    from kerasft.serving.verify import verify_tokenizer
    from kerasft.serving.verify_generation import verify_generation

    raise_unless_signature(signature)
    tokenizer, positions = task.tokenizer, task.backbone.room
    if max_new_tokens is None:
        max_new_tokens = min(USUAL_TOKENS, positions // 2)
    elif not 0 < max_new_tokens < positions:
        raise SettingsError(
            f"max_new_tokens is {max_new_tokens}; it must be at least 1 and leave room "
            f"for a prompt in the {positions} positions of the model."
        )
    opening, closing = (tuple(ids.tolist()) for ids in frame_of(tokenizer).ids)
    face = WriterFace(
        limits_of(task),
        positions,
        opening,
        closing or task.end_ids[:1],
        task.end_ids,
        max_new_tokens,
    )
    if signature == "tokens":
        return export_writer(folder, task, face)
    tokens = token_graph(tokenizer)
    graph = WriterGraph(tokens, text_graph(tokenizer))
    texts, _ = samples(rows, False, sorted(tokenizer.backend.get_vocab()))
    verify_tokenizer(tokens, tokens.reference.tokenizer, texts, None, VERIFIED_FUZZ)
    room = min(tokenizer.max_length, positions) - 9
    short = [text for text in texts if 0 < len(task.text_ids(text)) <= room]

    def check(new):
        tolerance = TOLERANCES[task.backbone.dtype_policy.name]
        asked = short[:VERIFIED_PROMPTS]
        verify_generation(new, task.generate, task.log_likelihoods, asked, tolerance)

    return export_writer(folder, task, face, graph, check)
