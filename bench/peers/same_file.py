"""Speed of GGUF files as they are, ours beside llama.cpp's: prompts of 512 tokens,
and 128 one by one behind nothing, random tokens, all in turns; medians, as Markdown.
The files are those named, or llama.cpp's own of the values of --model with its channels
permuted (offgrid.py), one of each of --kinds.

usage: same_file.py MANTISSA FILE.gguf... --llama PYTHON [--threads 1,2] [--runs N]
       same_file.py MANTISSA --model MODEL.gguf --judge PYTHON --llama PYTHON
                    [--kinds Q4_0,Q8_0,..] [--threads 1,2] [--runs N]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from sides import Theirs, make_models, our_speed, their_speed

KINDS = "Q4_0,Q4_1,Q4_K_M,Q5_K_M,Q8_0"


def made_files(options, scratch):
    options.gguf = options.model
    _, values = make_models(options, scratch)
    return [Theirs(options, values, kind, scratch).path
            for kind in options.kinds.split(",")]


def measured(options, files, threads):
    """Speeds of each file, number of threads and side, run in turn."""
    taken = {}
    for _ in range(options.runs):
        for path in files:
            for n in threads:
                for side in our_speed, their_speed:
                    taken.setdefault((path, n, side), []).append(side(options, path, n))
    return taken


def show(taken, files, threads):
    heads = [f"{what} {n}T" for n in threads for what in ("prompt", "decode")]
    print(f"| file | {' | '.join(heads)} |")
    print(f"| --- |{' ---: |' * len(heads)}")
    for path in files:
        cells = []
        for n in threads:
            for i in range(2):
                a, b = (statistics.median(row[i] for row in taken[path, n, side])
                        for side in (our_speed, their_speed))
                cells.append(f"{a:.0f}, {b:.0f}: **{a / b:.2f}**")
        print(f"| {path.stem} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--judge")
    parser.add_argument("--model")
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    if bool(options.files) == bool(options.model):
        parser.error("name files, or --model with --judge")
    if options.model and not options.judge:
        parser.error("--model needs --judge")
    threads = options.threads.split(",")
    print("the same GGUF file: tok/s of ours, of llama.cpp, and the ratio")
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or made_files(options, Path(folder))
        show(measured(options, files, threads), files, threads)


main()
