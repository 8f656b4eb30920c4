"""What goes around the texts is not read but asked.

A sample text, encoded alone and as a pair, shows which special tokens and which types
any post-processor adds.
"""

import tokenizers

from kerasft.serving.reference import Piece, raise_if_unsupported


def asked_template(
    own: tokenizers.Tokenizer, sample: str, paired: bool
) -> tuple[Piece, ...]:
    """The pieces of a text, or a pair, as a sample shows them.

    Args:
        own: has padding.
        sample: a text of some tokens, none of them special.
        paired: whether there are two texts.

    Raises:
        UnsupportedTokenizerError: a text is not there once, and whole.
    """
    texts = (sample, 2 * sample)[: 1 + paired]
    encoding = own.encode(*texts)
    tokens = zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True)
    template, found = [], {}
    real = encoding.attention_mask.count(1)
    for token_id, type_id, sequence in list(tokens)[:real]:
        if sequence is None:
            template.append(Piece(type_id, ids=(token_id,)))
        elif "AB"[sequence] not in found:
            found["AB"[sequence]] = [token_id]
            template.append(Piece(type_id, sequence="AB"[sequence]))
        else:
            found["AB"[sequence]].append(token_id)
    bare = [own.encode(text, add_special_tokens=False).ids for text in texts]
    if found != dict(zip("AB", bare, strict=False)):
        raise_if_unsupported([f"post_processor makes {encoding.tokens} of {texts}"])
    return tuple(template)
