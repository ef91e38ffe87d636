"""One linear, ours beside ggml's, torch's and torchao's: the same shapes, rows of
activations and threads, call by call in turn.

Each of ours stands with the peers that keep as many bits and treat activations alike;
a ratio is a peer's time by ours, medians of TURNS. Quantizing the activations counts
on every side, and weights rotate through 256 MB. Ours are kernels and threads alone
(bench_linear_lowbit --serve), ggml's are graphs of products, torch's are modules
through its dispatcher. A peer that is not there is left out with its reason.

usage: linear.py BENCH_LINEAR_LOWBIT [--judge PYTHON] [--llama PYTHON]
                 [--shapes NxK,..] [--rows 1,4,..] [--threads 1,2] [--turns N]
                 [--milliseconds N] [--only TEXT] [--compile] [--json FILE]
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHAPES = "4096x4096,14336x4096,576x576,1536x576,576x1536"
# Ours, as bench_linear_lowbit names it, and its peers: (program, kind).
GROUPS = {
    "int4 sym g32 x32": [("ggml", "Q4_0"), ("ggml", "Q4_0 repacked")],
    "int4 asym g32 x32": [
        ("ggml", "Q4_K"), ("ggml", "Q4_K repacked"),
        ("torch", "Int8DynamicActivationIntxWeight int4 g32")],
    "q4_K x32": [("ggml", "Q4_K"), ("ggml", "Q4_K repacked")],
    "q5_K x32": [("ggml", "Q5_K"), ("ggml", "Q5_K repacked")],
    "q6_K x32": [("ggml", "Q6_K"), ("ggml", "Q6_K repacked")],
    "int8 sym g32 x32": [("ggml", "Q8_0"), ("ggml", "Q8_0 repacked")],
    "int8 sym grow xrow": [
        ("torch", "quantize_dynamic"),
        ("torch", "Int8DynamicActivationInt8Weight"),
        ("torch", "Int8DynamicActivationInt8Weight compiled")],
    "int8 sym grow xbf16": [
        ("torch", "Int8WeightOnly"), ("torch", "Int8WeightOnly compiled"),
        ("torch", "_weight_int8pack_mm"), ("torch", "bfloat16")],
    "int8 sym grow xf32": [("torch", "float32")],
    "int4 asym g32 xbf16": [
        ("torch", "_weight_int4pack_mm_for_cpu g32"),
        ("torch", "IntxWeightOnly int4 g32")],
}
REST = 0.03  # seconds until the other side's threads sleep


class Program:
    """Answers a question a line."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, question):
        """(nanoseconds, bytes), or why there is no answer."""
        time.sleep(REST)
        self.process.stdin.write(question + "\n")
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"linear: no answer to '{question}'")
        return line[2:] if line.startswith("- ") else tuple(map(int, line.split()))

    def drop(self):
        self.process.stdin.write("drop\n")


def start(options):
    programs = {}
    if options.llama:
        programs["ggml"] = Program(options.llama, HERE / "linear_ggml.py")
    if options.judge:
        programs["torch"] = Program(options.judge, HERE / "linear_torch.py")
    return Program(options.bench, "--serve", "1"), programs


class Place:
    """A shape, rows and threads."""

    def __init__(self, shape, m, threads):
        self.shape, self.m, self.threads = shape, m, threads

    def question(self, kind, milliseconds):
        return f"{self.shape} {kind} M={self.m} {self.threads}T {milliseconds}"

    def products(self):
        n, k = map(int, self.shape.split("x"))
        return self.m * n * k


def compare(ours, peers, case, place, options, reasons):
    """Rows of the answer, a peer each. `reasons` gets those of what is left out."""
    taken = {name: [] for name in ["", *peers]}
    for _ in range(options.turns):
        found = ours.ask(place.question(case, options.milliseconds))
        if isinstance(found, str):
            reasons[f"ours {case}", place.shape] = found
            return
        nanoseconds, size = found
        taken[""].append(nanoseconds)
        for name, (program, kind) in peers.items():
            if (name, place.shape) in reasons:
                continue
            found = program.ask(place.question(kind, options.milliseconds))
            if isinstance(found, str):
                reasons[name, place.shape] = found
            else:
                taken[name].append(found[0])
    mine = statistics.median(taken.pop(""))
    for name, times in taken.items():
        if len(times) == options.turns:
            theirs = statistics.median(times)
            yield {"shape": place.shape, "m": place.m, "threads": place.threads,
                   "ours": case, "peer": name, "ours_us": mine / 1e3,
                   "peer_us": theirs / 1e3, "ratio": theirs / mine,
                   "ours_gb_s": size / mine, "ours_gop_s": 2 * place.products() / mine}


def measure(options):
    ours, programs = start(options)
    rows, reasons = [], {}
    for shape in options.shapes.split(","):
        for case, listed in GROUPS.items():
            peers = {f"{program} {kind}": (programs[program], kind)
                     for program, kind in listed
                     if program in programs and options.only in f"{program} {kind}"
                     and (options.compile or not kind.endswith("compiled"))}
            if not peers:
                continue
            for m in options.rows:
                for threads in options.threads:
                    place = Place(shape, m, threads)
                    for row in compare(ours, peers, case, place, options, reasons):
                        rows.append(row)
                        show(row)
            for program in programs.values():
                program.drop()
    return rows, reasons


def show(row):
    print(f"  {row['shape']:>11} M={row['m']:<4}{row['threads']}T  {row['ours']:19}"
          f"{row['ours_us']:10.1f} us {row['ours_gb_s']:6.1f} GB/s"
          f"{row['ours_gop_s']:8.1f} GOP/s  {row['peer']:48}{row['peer_us']:10.1f} us"
          f" {row['ratio']:6.2f}x", flush=True)


def table(rows, shape, options):
    """Markdown: the ratios of one shape."""
    found = {(row["ours"], row["peer"], row["threads"], row["m"]): row["ratio"]
             for row in rows if row["shape"] == shape}
    columns = [(threads, m) for threads in options.threads for m in options.rows]
    yield f"| {shape} | beside | {' | '.join(f'{t}T M={m}' for t, m in columns)} |"
    yield f"| --- | --- |{' ---: |' * len(columns)}"
    for ours, peer in dict.fromkeys(key[:2] for key in found):
        cells = [found.get((ours, peer, *column)) for column in columns]
        words = " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells)
        yield f"| {ours} | {peer} | {words} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("--judge")
    parser.add_argument("--llama")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--rows", default="1,4,16,128,512")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--milliseconds", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.rows = [int(word) for word in options.rows.split(",")]
    options.threads = [int(word) for word in options.threads.split(",")]
    print("linears: ours, and the time of each peer in parts of ours")
    rows, reasons = measure(options)
    for shape in options.shapes.split(","):
        print("", *table(rows, shape, options), sep="\n")
    for (name, shape), reason in reasons.items():
        print(f"left out: {name}, {shape}: {reason}")
    for name, given in ("ggml", options.llama), ("torch", options.judge):
        if not given:
            print(f"left out: {name}: tools/setup.sh --judge --peers gets it")
    if not options.compile:
        print("left out: compiled modules: --compile")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


main()
