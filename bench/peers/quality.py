"""The table of docs/benchmarks/quality.md: for each config bits, perplexity, KL
divergence from the unquantized model, bytes and decode tokens a second, beside
llama.cpp's files of the same size. Prints it as Markdown, or puts it into PAGE.

All files are made from one model whose weights lie on no 4-bit grid (offgrid.py).
The divergence of ours is from our logits of the unquantized model, that of
llama.cpp's files from llama.cpp's logits of the same values as F32. For the speeds
all files take turns; medians. What was measured stays in RESULTS: another call
goes on from there, and --runs N measures the speeds anew (0: not at all).

usage: quality.py MANTISSA MODEL.gguf TEXT --judge PYTHON --llama PYTHON
                  --results RESULTS.json [--windows N] [--threads 1,2] [--runs N]
                  [--eval-threads N] [--only TEXT] [--page PAGE.md]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from sides import HEAD, Ours, Theirs, make_models

COMPUTE = "int8-g32"
UNQUANTIZED = "unquantized, bf16"
ALLOW = ["--allow-unloadable", "--allow-private-format"]
BY_SIZE = {"150MB": "Q8_0", "120MB": None, "112.1MB": "Q5_K_M",
           "105.5MB": "Q4_K_M", "102MB": "Q4_K_S", "98.4MB": "Q4_1",
           "91.7MB": "Q4_0", "85MB": None, "80MB": None, "77.5MB": None,
           "75MB": None, "70MB": None}
# The configs of `mantissa configs`, by the words that it names.
CONFIGS = ["int8_weight_only",
           "int8_dynamic_activation_int8_weight",
           "int4_weight_only:group_size=64",
           "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
           "int8_dynamic_activation_intx_weight:weight_dtype=int4",
           "float8_weight_only",
           "float8_dynamic_activation_float8_weight",
           "float8_dynamic_activation_int4_weight:int4_packing_format=plain",
           "nf4_weight_only:scaler_block_size=64"]
DOWN_ONLY = "float8_dynamic_activation_int4_weight"  # K = 576 takes no group of 128
LAYERS = {
    "`int8_weight_only`, embedding too":
    ["-c", "int8_weight_only", "--format", "compressed-tensors", "--tensor-type", HEAD],
    "`W5A16_ASYM:group_size=64,observer=mse`, embedding in groups of 32":
    ["--scheme", "W5A16_ASYM:group_size=64,observer=mse", "--tensor-type",
     "embed_tokens=W5A16_ASYM:group_size=32,observer=mse"],
    "`W4A16_ASYM:group_size=32,observer=mse`, int8 embedding":
    ["--scheme", "W4A16_ASYM:group_size=32,observer=mse", "--tensor-type", HEAD],
    "`W4A16_ASYM:group_size=32`, int8 embedding":
    ["--scheme", "W4A16_ASYM:group_size=32", "--tensor-type", HEAD],
    "`W4A16:group_size=64,observer=mse` (vLLM loads it)":
    ["--scheme", "W4A16:group_size=64,observer=mse"],
}


def cases():
    """(name, words of `quantize`, or a kind of llama.cpp's), in the table's order."""
    yield UNQUANTIZED, []
    yield "llama.cpp F16", "F16"
    for words in CONFIGS:
        part = DOWN_ONLY in words
        yield (f"`{words}`" + (", the 30 down projections" if part else ""),
               ["-c", words, *(["--allow-skipped"] if part else [])])
    yield from LAYERS.items()
    for size, kind in BY_SIZE.items():
        yield f"`--target-size {size}`", ["--target-size", size]
        if kind:
            yield f"llama.cpp {kind}", kind


class Unquantized(Ours):
    def __init__(self, options, model):
        self.options, self.compute, self.path = options, "float32", model
        self.bytes = (model / "model.safetensors").stat().st_size
        self.plan = {"bits_per_quantized_weight": 16}


class Files:
    """Made when they are first asked for."""

    def __init__(self, options, scratch):
        self.options, self.scratch, self.made = options, scratch, {}
        self.model, self.gguf = make_models(options, scratch)

    def side(self, name, words):
        if name not in self.made:
            if isinstance(words, str):
                side = Theirs(self.options, self.gguf, words, self.scratch)
            elif name == UNQUANTIZED:
                side = Unquantized(self.options, self.model)
            else:
                side = Ours(self.options, self.model, name, [*words, *ALLOW], COMPUTE,
                            self.scratch)
            self.made[name] = side
        return self.made[name]

    def quality(self, side):
        theirs = isinstance(side, Theirs)
        score = side.perplexity(
            self.options.windows, self.options.eval_threads,
            "--reference", self.gguf if theirs else self.model)
        found = score if theirs else side.plan
        row = {"bytes": side.bytes, "windows": self.options.windows,
               "perplexity": score["perplexity"], "kl": score["kl_divergence"],
               "bits": found[
                   "bits_per_weight" if theirs else "bits_per_quantized_weight"]}
        target = {} if theirs else side.plan.get("target") or {}
        if "predicted_divergence" in target:
            row["predicted"] = target["predicted_divergence"]
        return row


def measure_speeds(options, files, wanted, results):
    taken = {name: {n: [] for n in options.threads} for name, _ in wanted}
    for _ in range(options.runs):
        for name, words in wanted:
            for threads in options.threads:
                side = files.side(name, words)
                taken[name][threads].append(side.speed(threads, runs=1)[1])
    for name, by_threads in taken.items():
        results[name]["decode"] = {
            str(n): statistics.median(rates) for n, rates in by_threads.items()}


def table(results):
    threads = sorted({n for row in results.values() for n in row.get("decode", {})})
    columns = ["MB", "bits a weight", "perplexity", "KL", "predicted KL",
               *(f"decode {n}T" for n in threads)]
    yield f"| file | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for name, _ in cases():
        row = results.get(name)
        if not row:
            continue
        cells = [f"{row['bytes'] / 1e6:.1f}", f"{row['bits']:.2f}",
                 f"{row['perplexity']:.3f}"]
        for key in "kl", "predicted":
            cells.append(f"{row[key]:.4f}" if key in row else "")
        for n in threads:
            rate = row.get("decode", {}).get(n)
            cells.append(f"{rate:.0f}" if rate else "")
        yield f"| {name} | {' | '.join(cells)} |"


def fill(page, lines):
    """In place of its first table."""
    old = page.read_text().splitlines()
    begin = next(i for i, line in enumerate(old) if line.startswith("|"))
    end = next(i for i in range(begin, len(old)) if not old[i].startswith("|"))
    page.write_text("\n".join([*old[:begin], *lines, *old[end:]]) + "\n")


def save(results, path):
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(results, indent=1))
    os.replace(beside, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("--judge", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--eval-threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    options.threads = [int(word) for word in options.threads.split(",")]
    path = options.results
    results = json.loads(path.read_text()) if path.exists() else {}
    wanted = [case for case in cases() if options.only in case[0]]
    with tempfile.TemporaryDirectory() as scratch:
        files = Files(options, Path(scratch))
        for name, words in wanted:
            row = results.get(name, {})
            if "kl" in row and row["windows"] == options.windows:
                continue
            results[name] = {**row, **files.quality(files.side(name, words))}
            save(results, path)
            print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
        if options.runs:
            measure_speeds(options, files, wanted, results)
            save(results, path)
    if options.page:
        fill(options.page, table(results))
    else:
        print("\n".join(table(results)))


main()
