"""From logits of token pairs to triples of one window.

Every likely subject with every likely object, if a relation links their first tokens
and their last ones. The same in numpy here and in the graph of
`kerasft.serving.triple_signatures`.

Source: Su 2022, "GPLinker" (kexue.fm/archives/8888).
"""

import numpy as np

MOST = 100
"""Most subjects, and most objects, of a window; the likeliest are kept."""


def decoded(maps: np.ndarray, scored: np.ndarray) -> list[tuple]:
    """Triples of one window.

    Args:
        maps: float32 (2 + 2 relations, length, length), as `TripleHead` gives them.
        scored: bool (length,), tokens that a mention may begin or end at.

    Returns:
        Tuples (first and last token of the subject, relation, first and last token of
        the object, score). The score is the sigmoid of the least of the four logits
        that must be above 0, so it is above one half.
    """
    relations = (len(maps) - 2) // 2
    allowed = scored[:, None] & scored[None]
    subjects, objects = (_mentions(maps[i], allowed) for i in range(2))
    if not len(subjects) or not len(objects):
        return []
    starts, ends = maps[2 : 2 + relations], maps[2 + relations :]
    # (relations, subjects, objects): the weakest of the four.
    links = np.minimum(
        starts[:, subjects[:, 0]][:, :, objects[:, 0]],
        ends[:, subjects[:, 1]][:, :, objects[:, 1]],
    )
    links = np.minimum(links, maps[0][tuple(subjects.T)][None, :, None])
    links = np.minimum(links, maps[1][tuple(objects.T)][None, None])
    scores = 1 / (1 + np.exp(-links, dtype="float32"))
    return [
        (*map(int, subjects[s]), int(r), *map(int, objects[o]), float(scores[r, s, o]))
        for s, o, r in np.argwhere(links.transpose(1, 2, 0) > 0)
    ]


def _mentions(logits, allowed):
    """First and last token of the likeliest mentions, (mentions, 2), in text order."""
    likely = np.where(allowed & (logits > 0), logits, 0).ravel()
    chosen = np.sort(np.argsort(-likely, kind="stable")[:MOST])
    chosen = chosen[likely[chosen] > 0]
    return np.stack(np.unravel_index(chosen, logits.shape), axis=1)


def merged(windows: list[list[tuple]]) -> list[tuple]:
    """Triples of all windows of a text, the same one once, with its highest score.

    Args:
        windows: of each a list of tuples, whose last value is the score.

    Returns:
        In the order in which they were first found.
    """
    best = {}
    for triples in windows:
        for *triple, score in triples:
            key = tuple(triple)
            best[key] = max(score, best.get(key, score))
    return [(*triple, score) for triple, score in best.items()]
