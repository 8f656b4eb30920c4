"""What several workers agree on, here threads that meet at a barrier."""

import random
import time
from threading import Barrier, Thread

import pytest

from kerasft.training.agreement import STEPS, Agreement


def of_workers(count, work):
    """What `work(number, agreement)` gives in each of some threads."""
    barrier, told, found = Barrier(count), {}, [None] * count

    def total_of(number):
        def total(numbers):
            told[number] = numbers
            barrier.wait(20)
            sums = [sum(column) for column in zip(*told.values(), strict=True)]
            barrier.wait(20)
            return sums

        return total

    def run(number):
        found[number] = work(number, Agreement(total_of(number)))

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_one_worker_hears_itself_at_once():
    agree = Agreement()
    assert not agree.several
    assert agree(True, False) == (True, False)


def test_what_one_of_three_wishes_all_hear_at_the_same_moment():
    def work(number, agree):
        heard, pace = [], random.Random(number)
        for moment in range(450):
            time.sleep(pace.uniform(0, 0.002 * (number + 1)))
            wishes = number == 1 and moment > 50, number == 2 and moment > 300
            heard.append(agree(*wishes))
        return heard

    first, *others = of_workers(3, work)
    assert all(other == first for other in others)
    assert (True, False) in first and (True, True) in first
    assert not any(a or b for a, b in first[:51])


def test_between_times_nobody_is_asked_unless_now():
    def work(number, agree):
        agree(False)
        asked = [agree(True) for _ in range(STEPS)]
        return asked.count((True,)), agree(True), agree(True, now=True)

    assert of_workers(2, work) == [(1, (False,), (True,))] * 2


@pytest.mark.parametrize("seconds", [0.6, 2.0])
def test_slow_steps_are_looked_at_one_by_one(seconds, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: seconds * next(clock))
    agree = Agreement(lambda numbers: [2 * number for number in numbers])
    # The clock is read twice each time that all are asked.
    assert [agree(True) for _ in range(4)] == [(True,)] * 4
