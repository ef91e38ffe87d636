"""One linear, ours beside ggml's, torch's and torchao's: the same shapes, rows of
activations and threads, call by call in turn.

Each of ours stands with the peers that keep as many bits and treat activations alike,
with bfloat16 activations beside torch's own linear too; a ratio is a peer's time by
ours, medians of TURNS. Quantizing the activations counts on every side, and weights
rotate through 256 MB. Ours are kernels and threads alone (bench_linear_lowbit --serve),
ggml's are graphs of products, torch's are modules through its dispatcher. Each turn
stands between two probes of the machine and counts where they agree (all do where none
agree, which the line says); the parts of the machine are those of the probes. A peer that is not there is left out with its reason.

usage: linear.py BENCH_LINEAR_LOWBIT [--judge PYTHON] [--llama PYTHON]
                 [--shapes NxK,..] [--rows 1,4,..] [--threads 1,2] [--turns N]
                 [--milliseconds N] [--only TEXT] [--compile NxK,..] [--json FILE]

NxK/M is a shape with M rows only. torch.compile takes long: --compile names the shapes
that have it."""

import argparse
import json
import statistics
from pathlib import Path

from program import Probes, Program

HERE = Path(__file__).resolve().parent
SHAPES = "4096x4096,14336x4096,576x576,1536x576,576x1536,49152x576/1"
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
        ("torch", "IntxWeightOnly int4 g32"), ("torch", "bfloat16")],
    "e4m3 sym grow xbf16": [
        ("torch", "Float8WeightOnly"), ("torch", "bfloat16")],
}


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


class Turns:
    """Of ours ("") and of each peer, by name: (nanoseconds, bytes)."""

    def __init__(self):
        self.quiet, self.all = [], []

    def add(self, times, rates):
        self.all.append(times)
        if rates:
            self.quiet.append((times, rates))

    def enough(self, turns):
        return len(self.quiet) >= turns or len(self.all) >= 2 * turns

    def nanoseconds(self, name):
        """Of the quiet turns, if there are any."""
        kept = [times for times, _ in self.quiet] or self.all
        return statistics.median(times[name][0] for times in kept)

    def rates(self):
        """The machine's, or None."""
        columns = list(zip(*(rates for _, rates in self.quiet)))
        return [statistics.median(column) for column in columns] or None


def compare(probes, ours, peers, case, place, options, reasons):
    """Rows of the answer, a peer each. `reasons` gets those of what is left out."""

    def ask(name, program, kind):
        found = program.ask(place.question(kind, options.milliseconds))
        if isinstance(found, str):
            reasons[name, place.shape] = found
            return None
        return found

    peers = {name: peer for name, peer in peers.items()
             if (name, place.shape) not in reasons}
    turns = Turns()
    while peers and not turns.enough(options.turns):
        before = probes.take(place.threads)
        mine = ask(f"ours {case}", ours, case)
        if ours.gone:
            raise SystemExit(ours.gone)
        if mine is None:
            return
        times = {"": mine}
        for name, (program, kind) in list(peers.items()):
            found = ask(name, program, kind)
            if found is None:
                del peers[name]
            else:
                times[name] = found
        turns.add(times, Probes.agreed(before, probes.take(place.threads)))
    if not peers:
        return
    mine, rates = turns.nanoseconds(""), turns.rates()
    size = turns.all[0][""][1]
    for name in peers:
        theirs = turns.nanoseconds(name)
        yield {"shape": place.shape, "m": place.m, "threads": place.threads,
               "ours": case, "peer": name, "ours_us": mine / 1e3,
               "peer_us": theirs / 1e3, "ratio": theirs / mine,
               "bytes_ratio": turns.all[0][name][1] / size,
               "ours_gb_s": size / mine, "ours_gop_s": 2 * place.products() / mine,
               "quiet_turns": len(turns.quiet),
               "of_read": size / mine * 1e9 / rates[0] if rates else None,
               "of_peak": 2 * place.products() / mine * 1e9 / rates[1] if rates
               else None}


def measure(options):
    ours, programs = start(options)
    probes = Probes(ours)
    rows, reasons = [], {}
    for item in options.shapes.split(","):
        shape, _, only = item.partition("/")
        for case, listed in GROUPS.items():
            peers = {f"{program} {kind}": (programs[program], kind)
                     for program, kind in listed
                     if program in programs and options.only in f"{program} {kind}"
                     and (shape in options.compile or not kind.endswith("compiled"))}
            if not peers:
                continue
            for m in [int(only)] if only else options.rows:
                for threads in options.threads:
                    for row in compare(probes, ours, peers, case,
                                       Place(shape, m, threads), options, reasons):
                        rows.append(row)
                        show(row)
            for program in programs.values():
                program.drop()
    return rows, reasons


def part(share):
    return "   ?" if share is None else f"{share:4.2f}"


def show(row):
    print(f"  {row['shape']:>11} M={row['m']:<4}{row['threads']}T  {row['ours']:19}"
          f"{row['ours_us']:10.1f} us {row['ours_gb_s']:6.1f} GB/s = "
          f"{part(row['of_read'])}{row['ours_gop_s']:8.1f} GOP/s = "
          f"{part(row['of_peak'])}  {row['peer']:48}{row['peer_us']:10.1f} us"
          f" {row['ratio']:6.2f}x"
          + ("" if row["quiet_turns"] else "  no quiet turn"), flush=True)


def table(rows, shape):
    """Markdown: the ratios of one shape; behind the peer how many times our bytes its
    weight has, the least ratio of one row that waits for memory."""
    rows = [row for row in rows if row["shape"] == shape]
    found = {(row["ours"], row["peer"], row["threads"], row["m"]): row["ratio"]
             for row in rows}
    sizes = {(row["ours"], row["peer"]): row["bytes_ratio"] for row in rows}
    columns = sorted({(row["threads"], row["m"]) for row in rows})
    yield (f"| {shape} | beside | its bytes | "
           f"{' | '.join(f'{t}T M={m}' for t, m in columns)} |")
    yield f"| --- | --- | ---: |{' ---: |' * len(columns)}"
    for (ours, peer), size in sizes.items():
        cells = [found.get((ours, peer, *column)) for column in columns]
        words = " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells)
        yield f"| {ours} | {peer} | {size:.2f} | {words} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("--judge")
    parser.add_argument("--llama")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--rows", default="1,2,3,4,6,16,128,512")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--milliseconds", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--compile", default="")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.rows = [int(word) for word in options.rows.split(",")]
    options.threads = [int(word) for word in options.threads.split(",")]
    options.compile = options.compile.split(",")
    print("linears: ours, and the time of each peer in parts of ours")
    rows, reasons = measure(options)
    for shape in dict.fromkeys(row["shape"] for row in rows):
        print("", *table(rows, shape), sep="\n")
    for (name, shape), reason in reasons.items():
        print(f"left out: {name}, {shape}: {reason}")
    for name, given in ("ggml", options.llama), ("torch", options.judge):
        if not given:
            print(f"left out: {name}: tools/setup.sh --judge --peers gets it")
    if not any(options.compile):
        print("left out: compiled modules: --compile names shapes for them")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


main()
