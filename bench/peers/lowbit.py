"""Models of few bits, ours beside llama.cpp: bytes, perplexity, tokens a second.

All files are made from one model whose weights lie on no 4-bit grid (offgrid.py).
A row's figures come from one file and one way to compute. Speed as llama-bench
counts: random tokens, no sampling, a prompt of 512; 128 tokens one by one behind
nothing, and behind 512 positions. Runs of ours and llama.cpp's alternate, medians;
each of ours stands between two probes of the read bandwidth, and the last column says
how many times as long as reading the file's bytes a token takes, where they agree.
Perplexity: windows of 512, the second half scored; llama.cpp's seconds are those of
its own calls. The first pair runs with --more-threads too.

usage: lowbit.py MANTISSA MODEL.gguf TEXT --bench BENCH_LINEAR_LOWBIT --judge PYTHON
                 --llama PYTHON [--threads 1,2] [--more-threads 3] [--runs N]
                 [--windows N] [--only TEXT]
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from program import Probes, Program
from sides import HEAD, Ours, Theirs, make_models

# Ours, its words for `quantize`, how it computes, and the peer of its size.
PAIRS = [
    ("91.7 MB by size", ["--target-size", "91.7MB"], "int8-g32", "Q4_0"),
    ("77.5 MB by size", ["--target-size", "77.5MB"], "int8-g32", "Q4_0"),
    ("98.4 MB by size", ["--target-size", "98.4MB"], "int8-g32", "Q4_1"),
    ("105.5 MB by size", ["--target-size", "105.5MB"], "int8-g32", "Q4_K_M"),
    (
        "int4 g32, zero points, int8 head",
        ["--scheme", "W4A16_ASYM", "--group-size", 32, "--tensor-type", HEAD,
         "--allow-unloadable"],
        "int8-g32",
        "Q4_0",
    ),
    (
        "int8 per row, int8 head",
        ["-c", "int8_weight_only", "--format", "compressed-tensors",
         "--tensor-type", HEAD],
        "int8-g32",
        "Q8_0",
    ),
]


# Perplexity over all of these windows, at most.
WHOLE = 40
MOST = {"77.5 MB by size": 23.4, "91.7 MB by size": 20.85, "98.4 MB by size": 20.0,
        "105.5 MB by size": 19.5}
DEPTHS = 0, 512
COLUMNS = ["file", "computed in", "MB", "perplexity", "s", "threads", "prompt", "",
           *(word for depth in DEPTHS
             for word in (f"behind {depth}" if depth else "decode", "")),
           "token / bytes"]


def row(cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def measured(sides, threads, probes, runs):
    """Medians of (prompt, decode..) for both sides, run in turn; and how many times
    as long as its bytes take to read a token of the first takes."""
    taken, shares = [[], []], []
    for _ in range(runs):
        before = probes.take(threads)
        taken[0].append(sides[0].speed(threads, DEPTHS))
        rates = probes.agreed(before, probes.take(threads))
        if rates:
            shares.append(rates[0] / (taken[0][-1][1] * sides[0].bytes))
        taken[1].append(sides[1].speed(threads, DEPTHS))
    medians = [[statistics.median(column) for column in zip(*samples)]
               for samples in taken]
    return medians, f"{statistics.median(shares):.2f}" if shares else "not quiet"


def show(sides, options, threads, probes):
    scores = [side.perplexity(options.windows, 2) for side in sides]
    for n in threads:
        speeds, share = measured(sides, n, probes, options.runs)
        for i, side in enumerate(sides):
            cells = [side.name, side.compute, f"{side.bytes / 1e6:.1f}",
                     f"{scores[i]['perplexity']:.3f}", f"{scores[i]['seconds']:.1f}", n]
            for ours, theirs in zip(*speeds):
                cells += ([f"{ours:.1f}", f"**{ours / theirs:.2f}**"] if i == 0
                          else [f"{theirs:.1f}", ""])
            row([*cells, share if i == 0 else ""])
    return scores[0]["perplexity"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--more-threads", default="3")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--windows", type=int, default=WHOLE)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    threads, more = ([int(word) for word in words.split(",") if word]
                     for words in (options.threads, options.more_threads))
    probes = Probes(Program(options.bench, "--serve", "1"))
    print(f"low-bit models off the grid: perplexity of {options.windows} windows, its "
          f"seconds, tok/s and the ratio to llama.cpp")
    row(COLUMNS)
    row(["---"] * len(COLUMNS))
    worse = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model, gguf = make_models(options, scratch)
        for i, (name, words, compute, kind) in enumerate(PAIRS):
            if options.only not in name:
                continue
            found = show([Ours(options, model, name, words, compute, scratch),
                          Theirs(options, gguf, kind, scratch)],
                         options, threads if i else [*threads, *more], probes)
            if options.windows == WHOLE and found > MOST.get(name, found):
                worse.append(f"{name}: {found:.3f}, at most {MOST[name]}")
    if worse:
        sys.exit("lowbit: perplexity is above its bound: " + "; ".join(worse))


main()
