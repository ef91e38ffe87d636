"""What a user waits for every day: start, plan, inspect, verify.

Starts of the tool, `plan` and `inspect` of a checkpoint of 100,000 tensors
(sparse files, as no such model is at hand), and `verify` of a quantized model,
as a whole process, beside a plain read of its file; both on one thread. Wall
time, median of the runs; the files are in the page cache.

usage: everyday.py MANTISSA MODEL [--runs N]
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

WIDTH = 32
MATRICES = {
    "self_attn": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mlp": ["gate_proj", "up_proj", "down_proj"],
}


def write_large(directory, tensors):
    """A llama of many small layers: config.json and one sparse file."""
    layers = tensors // 9
    header, end = {}, 0

    def add(name, shape):
        nonlocal end
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": [end, end + size],
        }
        end += size

    for layer in range(layers):
        at = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            add(f"{at}{norm}.weight", [WIDTH])
        for module, names in MATRICES.items():
            for name in names:
                add(f"{at}{module}.{name}.weight", [WIDTH, WIDTH])
    add("model.norm.weight", [WIDTH])
    add("model.embed_tokens.weight", [WIDTH, WIDTH])
    text = json.dumps(header).encode()
    with open(directory / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "vocab_size": WIDTH,
        "num_attention_heads": 1,
        "num_hidden_layers": layers,
        "tie_word_embeddings": True,
    }
    (directory / "config.json").write_text(json.dumps(config))
    return len(header)


def median_seconds(runs, action):
    seconds = []
    for _ in range(runs + 1):  # the first one fills the caches
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def tool(options, *words):
    command = [str(word) for word in (options.mantissa, *words)]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def read_whole(path):
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mantissa", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    config = ("-c", "int8_weight_only")
    start = median_seconds(20, tool(options, "--help"))
    print(f"start (--help)            {start * 1000:8.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder)
        count = write_large(large, 100_000)
        plan = median_seconds(options.runs, tool(options, "plan", large, *config))
        print(f"plan, {count} tensors     {plan:8.2f} s")
        look = median_seconds(options.runs, tool(options, "inspect", large))
        print(f"inspect, {count} tensors  {look:8.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        flags = ("--quiet", "--no-report")
        tool(options, "quantize", options.model, *config, "-o", out, *flags)()
        weights = out / "model.safetensors"
        gigabytes = weights.stat().st_size / 1e9
        verify = median_seconds(options.runs, tool(options, "verify", out, "-j", 1))
        plain = median_seconds(options.runs, lambda: read_whole(weights))
        print(
            f"verify, {gigabytes * 1000:.1f} MB          {verify:8.3f} s ="
            f" {gigabytes / verify:.1f} GB/s; a plain read of the file:"
            f" {gigabytes / plain:.1f} GB/s"
        )


if __name__ == "__main__":
    main()
