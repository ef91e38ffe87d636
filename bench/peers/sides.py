"""Models of ours and of llama.cpp made from the same values: what lowbit.py,
same_file.py and quality.py compare. Speed as llama-bench counts: random tokens, no
sampling, a prompt of 512; and 128 one by one, the first of them behind nothing or
behind a number of positions, on both sides the same. Perplexity: windows of 512, the
second half scored."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROMPT, NEW = 512, 128
RUNS = 3  # of a process: their median counts
# The embedding (and head) in int8 beside layers of other bits.
HEAD = "embed_tokens=int8_weight_only"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True,
                          text=True)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def answer(*command):
    return json.loads(run(*command).strip().splitlines()[-1])


def our_speed(options, path, threads, depths=(0,), runs=RUNS, words=()):
    """Tokens a second of a prompt, and behind each of `depths` positions."""
    row = json.loads(
        run(options.mantissa, "bench", "model", path, "--json", "--threads", threads,
            "--prompt-tokens", PROMPT, "--decode-tokens", NEW, "--repetitions", runs,
            "--depths", ",".join(map(str, depths)), *words))["results"][0]
    return (row["prompt_tok_s"], *(found["decode_tok_s"] for found in row["depths"]))


def their_speed(options, path, threads, depths=(0,), runs=RUNS):
    row = answer(options.llama, HERE / "llama_model.py", path, "--speed",
                 f"{PROMPT},{NEW},{runs}", "--depths", ",".join(map(str, depths)),
                 "--threads", threads)
    return (row["prompt_tokens_per_second"], *row["decode_tokens_per_second"])


def make_models(options, scratch):
    """The permuted model as a directory and as a GGUF file of F32."""
    plain, moved = scratch / "bf16", scratch / "offgrid"
    f32, moved_f32 = scratch / "f32.gguf", scratch / "offgrid-f32.gguf"
    run(options.mantissa, "convert", options.gguf, "-o", plain, "--quiet")
    run(options.llama, HERE / "llama_quantize.py", options.gguf, f32, "F32", 2)
    run(options.judge, HERE / "offgrid.py", plain, moved, f32, moved_f32)
    f32.unlink()
    return moved, moved_f32


class Ours:
    def __init__(self, options, model, name, words, compute, scratch):
        self.options, self.name, self.compute = options, name, compute
        self.path = scratch / "".join(c if c.isalnum() else "-" for c in name)
        self.plan = json.loads(
            run(options.mantissa, "quantize", model, *words, "-o", self.path,
                "--json", "--no-report"))
        self.bytes = (self.path / "model.safetensors").stat().st_size

    def speed(self, threads, depths=(0,), runs=RUNS):
        return our_speed(self.options, self.path, threads, depths, runs,
                         ["--compute-dtype", self.compute])

    def perplexity(self, windows, threads, *words):
        return json.loads(
            run(self.options.mantissa, "eval", self.path, "--text",
                self.options.text, "--windows", windows, "--compute-dtype",
                self.compute, "-j", threads, "--json", "-q", *words))


class Theirs:
    def __init__(self, options, model, kind, scratch):
        self.options, self.name, self.compute = options, f"llama.cpp {kind}", ""
        self.path = scratch / f"{kind}.gguf"
        run(options.llama, HERE / "llama_quantize.py", model, self.path, kind, 2)
        self.bytes = self.path.stat().st_size

    def speed(self, threads, depths=(0,), runs=RUNS):
        return their_speed(self.options, self.path, threads, depths, runs)

    def perplexity(self, windows, threads, *words):
        return answer(self.options.llama, HERE / "llama_model.py", self.path, "--text",
                      self.options.text, "--windows", windows, "--threads", threads,
                      *words)
