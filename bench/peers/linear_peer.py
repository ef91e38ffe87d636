"""What the programs that answer linear.py have in common.

A question is a line "4096x4096 KIND M=1 2T 100": a weight [N, K], whose linear it
is, rows of x, threads, milliseconds. The answer is "NANOSECONDS BYTES" of a call
and of a weight, or "- REASON". Weights rotate through 256 MB. "drop" frees them."""

import re
import sys
import time

import numpy

ROTATION = 256 << 20
TOLERANCE = 0.2  # of the norm of y: more than 4 bits cost


class Refused(Exception):
    """Why a kind does not take a shape, or is not there."""


def copies_of(size):
    return max(1, ROTATION // size)


def seconds_a_call(call, milliseconds):
    """Of call(i), which returns how many products it did, after one for nothing."""
    call(0)
    start, done, turn = time.perf_counter(), 0, 1
    while True:
        done += call(turn)
        turn += 1
        taken = time.perf_counter() - start
        if taken * 1e3 >= milliseconds:
            return taken / done


def check(y, x, weight):
    truth = x @ weight.T
    error = numpy.linalg.norm(y - truth) / numpy.linalg.norm(truth)
    if not error < TOLERANCE:
        raise Refused(f"wrong result: relative error {error:.2f}")


def serve(make):
    """make(kind, n, k) gives an object with time(m, threads, milliseconds) -> (seconds,
    bytes); it and time() may raise Refused."""
    made = {}
    for line in sys.stdin:
        if line.strip() == "drop":
            made.clear()
            continue
        n, k, kind, m, threads, milliseconds = re.fullmatch(
            r"(\d+)x(\d+) (.*) M=(\d+) (\d+)T (\d+)", line.strip()).groups()
        key = kind, int(n), int(k)
        try:
            if key not in made:
                made[key] = make(*key)
            seconds, size = made[key].time(int(m), int(threads), int(milliseconds))
            print(f"{seconds * 1e9:.0f} {size}", flush=True)
        except Refused as reason:
            print(f"- {reason}", flush=True)


def random_weight(n, k):
    draw = numpy.random.default_rng(1)
    return draw.standard_normal((n, k), dtype=numpy.float32) * 0.02


def random_rows(m, k):
    return numpy.random.default_rng(2).standard_normal((m, k), dtype=numpy.float32)
