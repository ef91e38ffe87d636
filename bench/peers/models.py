"""Running a model, ours beside llama.cpp: tokens per second and perplexity.

Both read the same GGUF file with the same threads. Speed: a prompt, then one
token after the other, greedy, the median of RUNS; loading does not count. Ours
computes in the dtypes named, on the values that the file decodes to; llama.cpp
rounds activations to 8 bits for its products. Perplexity therefore against
llama.cpp on the same values as F16, windows of 512, the second half scored.

usage: models.py MANTISSA MODEL.gguf TEXT [--llama PYTHON] [--threads N]
                 [--runs N] [--windows N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT, NEW = 512, 32


def answer(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True,
                          text=True)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def our_speed(options, dtype, text):
    rows = [
        answer(options.mantissa, "generate", options.gguf, "--prompt", text,
               "--max-tokens", NEW, "--temperature", 0, "--context", PROMPT + NEW + 64,
               "-j", options.threads, "--compute-dtype", dtype, "--json", "-q")
        for _ in range(options.runs)
    ]
    return {
        key: statistics.median(row[key] for row in rows)
        for key in ("prompt_tokens_per_second", "decode_tokens_per_second")
    }


def our_perplexity(options):
    return answer(options.mantissa, "eval", options.gguf, "--text", options.text,
                  "--windows", options.windows, "-j", options.threads, "--json", "-q")


def row(name, speed, peer=None):
    line = f"  {name:24}"
    for key in ("prompt_tokens_per_second", "decode_tokens_per_second"):
        line += f"{speed[key]:10.1f}"
        line += f" {speed[key] / peer[key]:6.2f}x" if peer else " " * 8
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mantissa")
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("--llama")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--windows", type=int, default=40)
    options = parser.parse_args()
    peer = None
    print(f"models: {Path(options.gguf).name}, {options.threads} threads, prompt of "
          f"about {PROMPT} tokens, {NEW} new; tok/s and the part of llama.cpp's")
    print(f"  {'':24}{'prompt':>10}{'':8}{'decode':>10}")
    if options.llama:
        peer = answer(options.llama, HERE / "llama_model.py", options.gguf,
                      "--speed", f"{PROMPT},{NEW},{options.runs}",
                      "--depths", PROMPT, "--threads", options.threads)
        peer["decode_tokens_per_second"], = peer["decode_tokens_per_second"]
        row("llama.cpp", peer)
    # Four characters a token, roughly; the answer says how many there were.
    text = Path(options.text).read_text()[: 4 * PROMPT]
    for dtype in ("float32", "bfloat16"):
        row(f"mantissa, {dtype}", our_speed(options, dtype, text), peer)
    ours = our_perplexity(options)
    print(f"  perplexity, {options.windows} windows: {ours['perplexity']:.4f}")
    if not options.llama:
        return
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "f16.gguf"
        answer(options.llama, HERE / "llama_quantize.py", options.gguf, plain, "F16",
               options.threads)
        theirs = answer(options.llama, HERE / "llama_model.py", plain, "--text",
                        options.text, "--windows", options.windows,
                        "--threads", options.threads)
    apart = ours["perplexity"] / theirs["perplexity"] - 1
    print(f"  llama.cpp, F16: {theirs['perplexity']:.4f}, ours {100 * apart:+.4f} %")
    if abs(apart) > 1e-3:
        sys.exit("models: perplexity is more than 0.1 % off llama.cpp's")


main()
