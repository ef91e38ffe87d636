"""Speed of GGUF files as they are, ours beside llama.cpp's: prompts of 512 tokens,
then 64 one by one, random tokens, all in turns; medians, as Markdown.

usage: same_file.py MANTISSA FILE.gguf... --llama PYTHON [--threads 1,2] [--runs N]
"""

import argparse
import statistics
from pathlib import Path

from sides import our_speed, their_speed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    threads = options.threads.split(",")
    taken = {}
    for _ in range(options.runs):
        for path in options.files:
            for n in threads:
                for side in our_speed, their_speed:
                    taken.setdefault((path, n, side), []).append(side(options, path, n))
    heads = [f"{what} {n}T" for n in threads for what in ("prompt", "decode")]
    print(f"| file | {' | '.join(heads)} |")
    print(f"| --- |{' ---: |' * len(heads)}")
    for path in options.files:
        cells = []
        for n in threads:
            for i in range(2):
                a, b = (statistics.median(row[i] for row in taken[path, n, side])
                        for side in (our_speed, their_speed))
                cells.append(f"{a:.0f}, {b:.0f}: **{a / b:.2f}**")
        print(f"| {path.stem} | {' | '.join(cells)} |")


main()
