"""Losses of sentence vectors: what belongs together should lie together.

Each function gives one value for each row, (batch,), in float32; vectors are (batch,
width) and need not be normalised.

Sources: Henderson et al. 2017 (arXiv:1705.00652), section 4, for ranking; Schroff et
al. 2015 (arXiv:1503.03832) for triplets; Hadsell et al. 2006 for the contrastive loss;
Gao et al. 2021 (arXiv:2104.08821) for SimCSE, which is ranking a text against itself
under another dropout; Khosla et al. 2020 (arXiv:2004.11362), equation 2, for classes.
Defaults as in sentence-transformers.
"""

from keras import ops

from kerasft.layers.text_pooling import unit

NOBODY = -1e9  # The logit of what is not to be found.


def cosine(left, right):
    """Cosine of the angle between vectors, along their last axis; of 0 it is 0."""
    return ops.sum(unit(left) * unit(right), axis=-1)


def ranking(anchors, positives, negatives=None, scale=20.0, real=None):
    """Cross-entropy of finding each anchor's own positive among all of the batch.

    Args:
        anchors: (batch, width).
        positives: (batch, width), row i belongs to anchor i.
        negatives: (any, width) more that belong to none of them (hard negatives); or
            None.
        scale: of the cosines before the softmax, 1 / temperature.
        real: (batch,) which rows there are; the others only fill up the batch. None:
            all.
    """
    candidates = positives
    if negatives is not None:
        candidates = ops.concatenate([positives, negatives], axis=0)
        real = None if real is None else ops.concatenate([real, real], axis=0)
    logits = ops.matmul(unit(anchors), ops.transpose(unit(candidates))) * scale
    if real is not None:
        logits = ops.where(real[None], logits, NOBODY)
    own = ops.arange(ops.shape(logits)[0])[:, None]
    mine = ops.equal(own, ops.arange(ops.shape(logits)[1])[None])
    # Not by class numbers: a replica's share of the last batch may have no row.
    chances = ops.log_softmax(logits, axis=-1)
    return -ops.sum(ops.where(mine, chances, 0.0), axis=-1)


def symmetric_ranking(anchors, positives, scale=20.0, real=None):
    """The mean of ranking positives for anchors, and anchors for positives."""
    there = ranking(anchors, positives, scale=scale, real=real)
    return 0.5 * (there + ranking(positives, anchors, scale=scale, real=real))


def triplet(anchors, positives, negatives, margin=5.0):
    """How much nearer than the negative, by `margin`, the positive is not.

    Distances are Euclidean.
    """
    near, far = _distance(anchors, positives), _distance(anchors, negatives)
    return ops.relu(near - far + margin)


def cosine_error(left, right, scores):
    """Squared difference of the cosine and a score, -1 to 1."""
    return ops.square(cosine(left, right) - ops.cast(scores, "float32"))


def contrastive(left, right, same, margin=0.5):
    """Pulls pairs together that belong so, pushes others `margin` apart.

    Args:
        left: (batch, width).
        right: (batch, width).
        same: (batch,), 1 = they belong together, 0 = they do not.
        margin: of the cosine distance, 1 - cosine.
    """
    same = ops.cast(same, "float32")
    distance = 1.0 - cosine(left, right)
    short = ops.relu(margin - distance)
    return 0.5 * (same * ops.square(distance) + (1.0 - same) * ops.square(short))


def class_ranking(vectors, classes, scale=20.0, real=None):
    """Cross-entropy of finding, among all of the batch, the others of one's class.

    Args:
        vectors: (batch, width).
        classes: (batch,) integers. Where no other has the same, the value is 0.
        scale: of the cosines before the softmax, 1 / temperature.
        real: as of `ranking`.
    """
    logits = ops.matmul(unit(vectors), ops.transpose(unit(vectors))) * scale
    places = ops.arange(ops.shape(logits)[0])
    itself = ops.equal(places[:, None], places[None])
    if real is not None:
        itself = ops.logical_or(itself, ops.logical_not(real)[None])
    chances = ops.log_softmax(ops.where(itself, NOBODY, logits), axis=-1)
    same = ops.cast(same_class(classes), "float32")
    found = ops.sum(same * chances, axis=-1)
    return -found / ops.maximum(ops.sum(same, axis=-1), 1.0)


def same_class(classes):
    """Bool (batch, batch): whether two different rows are of one class."""
    places = ops.arange(ops.shape(classes)[0])
    other = ops.not_equal(places[:, None], places[None])
    return ops.logical_and(ops.equal(classes[:, None], classes[None]), other)


def _distance(left, right):
    difference = ops.cast(left, "float32") - ops.cast(right, "float32")
    square = ops.sum(ops.square(difference), axis=-1)
    return ops.sqrt(ops.maximum(square, 1e-24))  # The slope of sqrt at 0 is infinite.
