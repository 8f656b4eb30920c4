"""The prompts that all peers go on from: random token ids, the same for all."""

import random


def prompts_of(job) -> list[list[int]]:
    """Return `job.prompts` lists of `job.length` ids."""
    draw = random.Random(0)
    return [
        [draw.randrange(1000, 50000) for _ in range(job.length)]
        for _ in range(job.prompts)
    ]
