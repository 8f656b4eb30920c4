"""Several LoRAs made into one: sums, TIES, DARE, and the best change of a rank.

Arrays in, arrays out. The names are those of peft's `add_weighted_adapter`: without
`_svd` A and B are combined one by one, with it the whole changes are, and the result is
cut to a rank.

Sources: TIES: Yadav et al. 2023 (arXiv:2306.01708), section 4; DARE: Yu et al. 2023
(arXiv:2311.03099), section 3.2.
"""

import numpy as np

from kerasft._errors import SettingsError

KINDS = ("linear", "ties", "dare_linear", "dare_ties", "magnitude_prune")
WAYS = ("cat", "svd", *KINDS, *(f"{kind}_svd" for kind in KINDS[1:]))


def combined(factors, scales, weights, way, rank, density, seed):
    """A (in, rank) and B (rank, out) of the combined change, whose scale is 1.

    Args:
        factors: (A, B) of each LoRA.
        scales: factor of each change.
        weights: how much of each.
        way: one of `WAYS`.
        rank: of the result, for "svd" and its like.
        density: share of the numbers that TIES and DARE keep.
        seed: of DARE's draws.
    """
    random = np.random.default_rng(seed)
    weights = np.asarray(weights, "float64") * scales
    if way == "cat":
        firsts = [w * first for w, (first, _) in zip(weights, factors, strict=True)]
        return np.hstack(firsts), np.vstack([second for _, second in factors])
    if way.endswith("svd"):
        changes = [first @ second for first, second in factors]
        kind = way.removesuffix("svd").rstrip("_") or "linear"
        if kind != "linear":  # peft prunes what is scaled already.
            changes = [c * s for c, s in zip(changes, scales, strict=True)]
            weights = weights / scales
        return _cut(_mixed(changes, weights, kind, density, random), rank)
    roots = np.sqrt(np.abs(weights))
    signed = np.where(weights >= 0, roots, -roots)
    mixed = [
        _mixed([pair[i] for pair in factors], shares, way, density, random)
        for i, shares in enumerate((signed, roots))
    ]
    return tuple(mixed)


def _mixed(arrays, weights, kind, density, random):
    """One array of several of the same shape."""
    if kind in ("ties", "magnitude_prune"):
        arrays = [_largest(array, density) for array in arrays]
    elif kind in ("dare_linear", "dare_ties"):
        arrays = [
            array * (random.random(array.shape) < density) / density for array in arrays
        ]
    stacked = np.stack(arrays)
    weighed = stacked * np.asarray(weights).reshape(-1, *[1] * arrays[0].ndim)
    if not kind.endswith("ties"):
        return weighed.sum(axis=0)
    elected = np.where(stacked.sum(axis=0) >= 0, 1, -1)
    agree = np.sign(stacked) == elected
    return (weighed * agree).sum(axis=0) / np.maximum(agree.sum(axis=0), 1)


def _largest(array, density):
    """The largest share of the numbers; 0 for all others."""
    count = int(density * array.size)
    kept = np.zeros(array.size)
    if count:
        order = np.argsort(-np.abs(array).reshape(-1), kind="stable")
        kept[order[:count]] = 1
    return array * kept.reshape(array.shape)


def _cut(change, rank):
    """The two factors of a rank that come nearest to a change."""
    left, values, right = np.linalg.svd(change, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


def raise_unless_known(way, density):
    """Refuse a way or a density that cannot be.

    Raises:
        SettingsError: that is the case.
    """
    if way not in WAYS:
        raise SettingsError(f"way is {way!r}; known: {', '.join(WAYS)}.")
    needed = any(name in way for name in ("ties", "dare", "prune"))
    if needed and not (density is not None and 0 < density <= 1):
        raise SettingsError(
            f"density is {density}; {way} needs the share of the numbers that are "
            "kept, above 0, at most 1."
        )
