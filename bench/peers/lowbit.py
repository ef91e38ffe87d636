"""Models of few bits, ours beside llama.cpp: bytes, perplexity, tokens a second.

All files are made from one model whose weights lie on no 4-bit grid (offgrid.py).
A row's figures come from one file and one way to compute. Speed as llama-bench
counts: random tokens, no sampling, a prompt of 512, then 64 one by one; runs of
ours and llama.cpp's alternate, medians. Perplexity: windows of 512, the second
half scored; llama.cpp's seconds for it count the softmax in llama_model.py too.

usage: lowbit.py MANTISSA MODEL.gguf TEXT --judge PYTHON --llama PYTHON
                 [--threads 1,2] [--runs N] [--windows N]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from sides import HEAD, Ours, Theirs, make_models

# Ours, its words for `quantize`, how it computes, and the peer of its size.
PAIRS = [
    ("91.7 MB by size", ["--target-size", "91.7MB"], "int8-g32", "Q4_0"),
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


def measured(sides, threads, runs):
    """Medians of (prompt, decode) for both sides, run in turn."""
    taken = [[], []]
    for _ in range(runs):
        for samples, side in zip(taken, sides):
            samples.append(side.speed(threads))
    return [
        tuple(statistics.median(column) for column in zip(*samples))
        for samples in taken
    ]


def show(sides, options):
    scores = [side.perplexity(options.windows) for side in sides]
    rates = [score["seconds"] for score in scores]
    speeds = {
        threads: measured(sides, threads, options.runs)
        for threads in options.threads
    }
    for i, side in enumerate(sides):
        line = f"  {side.name:34}{side.compute:>9}{side.bytes / 1e6:8.1f}"
        line += f"{scores[i]['perplexity']:9.3f}{rates[i]:8.1f} "
        for threads in options.threads:
            for j in range(2):
                value, peer = speeds[threads][i][j], speeds[threads][1][j]
                line += f"{value:9.1f}"
                line += f" {value / peer:5.2f}x" if i == 0 else " " * 7
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("--judge", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--windows", type=int, default=40)
    options = parser.parse_args()
    options.threads = [int(word) for word in options.threads.split(",")]
    columns = "".join(
        f"{f'prompt {n}T':>10}{'':6}{f'decode {n}T':>10}{'':6}" for n in options.threads
    )
    print(f"low-bit models off the grid: MB, perplexity of {options.windows} windows, "
          f"seconds for it, tok/s and the ratio to llama.cpp")
    print(f"  {'':34}{'compute':>9}{'MB':>8}{'ppl':>9}{'s':>8} {columns}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model, gguf = make_models(options, scratch)
        for name, words, compute, kind in PAIRS:
            show([Ours(options, model, name, words, compute, scratch),
                  Theirs(options, gguf, kind, scratch)], options)


main()
