"""Cut token ids to length, put special tokens around them, pad: in TensorFlow ops.

In go ragged ids of one or two texts per row, out come the three dense inputs of a
model. The trap is the cut of a pair: neither text is shortened before the longer one
is as short as it, and of an odd room the longer text gets the token more.

Source: truncate_encodings in `utils/truncation.rs` and TemplateProcessing of
huggingface/tokenizers 0.23.
"""

import tensorflow as tf


def kept_lengths(lengths, room):
    """How many tokens of each text stay: "longest first", cut on the right.

    Args:
        lengths: one or two integer tensors (batch,).
        room: how many tokens fit beside the special ones.
    """
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]
    first, second = lengths
    shorter = tf.minimum(tf.minimum(first, second), room // 2)
    longer = tf.minimum(tf.maximum(first, second), room - shorter)
    swapped = first > second
    return [tf.where(swapped, longer, shorter), tf.where(swapped, shorter, longer)]


def pack(template, texts, max_length, pad_id, pad_type_id):
    """Lay the pieces of a template side by side, in rows as long as the longest.

    Args:
        template: tuple of `reference.Piece`.
        texts: {"A": ids, "B": ids}, ragged int32 (batch, length).
        max_length: tokens per row at most, special ones included.
        pad_id: token id of the padding.
        pad_type_id: `token_type_ids` of the padding.

    Returns:
        dict of `input_ids`, `attention_mask`, `token_type_ids`: int32 (batch, longest).
    """
    room = max_length - sum(len(piece.ids) for piece in template)
    lengths = [tf.cast(ids.row_lengths(), tf.int32) for ids in texts.values()]
    kept = dict(zip(texts, kept_lengths(lengths, room), strict=True))
    longest = tf.reduce_max(tf.concat([[0], tf.add_n([*kept.values()])], axis=0))
    columns = tf.range(max_length - room + longest)[tf.newaxis]
    end = tf.zeros_like(lengths[0])[:, tf.newaxis]
    token_ids = tf.fill(tf.shape(end + columns), pad_id)
    type_ids = tf.fill(tf.shape(token_ids), pad_type_id)
    for piece in template:
        start = end
        if piece.sequence:
            ragged = texts[piece.sequence]
            tokens, first = ragged.flat_values, ragged.row_starts()[:, tf.newaxis]
            end = start + kept[piece.sequence][:, tf.newaxis]
        else:
            tokens, first = piece.ids, 0
            end = start + len(piece.ids)
        here = (start <= columns) & (columns < end)
        places = tf.where(here, tf.cast(first, tf.int32) + columns - start, 0)
        padded = tf.concat([tokens, [pad_id]], axis=0)  # Never empty, so 0 is a place.
        token_ids = tf.where(here, tf.gather(padded, places), token_ids)
        type_ids = tf.where(here, piece.type_id, type_ids)
    return {
        "input_ids": token_ids,
        "attention_mask": tf.cast(columns < end, tf.int32),
        "token_type_ids": type_ids,
    }
