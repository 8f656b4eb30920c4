"""Rows in files, and the command line of a small run, for the tests beside it."""

import csv

FINETUNE = """finetune --checkpoint tiny --train train.csv --validation valid.csv
    --text review --label stars --epochs 1 --learning-rate 1e-2""".split()


def films(count, seed):
    from tiny_tasks import tiny_rows

    rows = tiny_rows(count, seed)
    yield "id", "review", "stars"
    for i in range(count):
        yield i, *rows[i].values()


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path
