"""Quantizing a model, ours beside its peers, each as a whole process.

A process is started, quantizes MODEL into a directory and ends; what counts is
its wall time, the processor time of all its threads (which other programs on
the machine disturb less) and its peak memory. All take the same config and
threads, the files are in the page cache, and runs take turns. Where a peer
writes the same format, its tensors are compared with ours byte by byte.

usage: quantize.py MANTISSA MODEL JUDGE_PYTHON [--threads N] [--runs N]

A peer is a function that returns a command line (None where it has no such
config), and one entry in PEERS.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


def config(kind, version, **fields):
    return {"_type": kind, "_version": version, "_data": fields}


def per_group(size):
    return config("PerGroup", 1, group_size=size)


def dtype(name):
    return {"_type": "torch.dtype", "_data": name}


CASES = {
    "int8 per row": config("Int8WeightOnlyConfig", 2),
    "intx int4 g32": config(
        "IntxWeightOnlyConfig",
        2,
        weight_dtype=dtype("int4"),
        granularity=per_group(32),
    ),
    "int4 g64": config("Int4WeightOnlyConfig", 2, group_size=64),
}


@dataclass
class Job:
    """What every command line is made from."""

    case: str
    config: Path
    model: Path
    out: Path
    options: argparse.Namespace


def mantissa(job):
    return [
        job.options.mantissa,
        "quantize",
        job.model,
        "-c",
        job.config,
        "-o",
        job.out,
        "-j",
        job.options.threads,
        "--quiet",
    ]


def torchao(job):
    return [
        job.options.judge,
        HERE / "torchao_quantize.py",
        job.config,
        job.model,
        job.out,
        job.options.threads,
    ]


def torchao_imports(job):
    """What torchao's way takes before the model is opened."""
    return [job.options.judge, "-c", "import torch, torchao, transformers"]


# Name -> command line, and whether its tensors must equal ours.
PEERS = {"torchao": (torchao, True), "imports": (torchao_imports, False)}


@dataclass
class Usage:
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Failed(Exception):
    """A program that ended with an error; the last line that it printed."""


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def measure(command, job):
    """Runs a command to its end. Throws Failed with its last line."""
    shutil.rmtree(job.out, ignore_errors=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(job.options.threads),
        "TQDM_DISABLE": "1",
    }
    result = job.out.with_suffix(".json")
    launcher = [sys.executable, "-I", "-S", HERE / "measure.py", result]
    with tempfile.TemporaryFile() as log:
        subprocess.run(
            [str(word) for word in [*launcher, *command]],
            stdout=log,
            stderr=log,
            env=environment,
            check=True,
        )
        used = json.loads(result.read_text())
        code = used.pop("exit")
        if code != 0:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise Failed(lines[-1] if lines else f"exit {code}")
    return Usage(**used)


def tensors(directory):
    """Name -> (dtype, shape, bytes) of a directory's safetensors files."""
    out = {}
    for path in sorted(Path(directory).glob("*.safetensors")):
        data = path.read_bytes()
        begin = 8 + int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:begin]).items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            place = data[begin + first : begin + last]
            out[name] = (entry["dtype"], tuple(entry["shape"]), place)
    return out


def compare(ours, theirs):
    ours, theirs = tensors(ours), tensors(theirs)
    different = [n for n in ours if ours[n] != theirs.get(n)]
    different += [n for n in theirs if n not in ours]
    if different:
        raise SystemExit(f"tensors differ: {sorted(different)[:3]}")
    return f"{len(ours)} tensors, the same bytes"


def run_case(name, folder, options):
    """Name -> list of Usage, or the reason why there is none."""
    path = folder / "config.json"
    path.write_text(json.dumps(CASES[name]))
    programs = {"mantissa": (mantissa, False), **PEERS}
    runs, notes = {}, []
    for turn in range(options.runs + 1):  # the first one fills the caches
        for program, (command, same) in programs.items():
            if isinstance(runs.get(program), str):
                continue
            out = folder / program
            job = Job(name, path, options.model, out, options)
            words = command(job)
            if words is None:
                runs[program] = "has no such config"
                continue
            try:
                used = measure(words, job)
            except Failed as error:
                if program == "mantissa":
                    raise SystemExit(f"{name}: {error}") from error
                runs[program] = f"fails: {error}"
                continue
            if turn > 0:
                runs.setdefault(program, []).append(used)
            elif same:
                notes.append(f"{program}: {compare(folder / 'mantissa', out)}")
    return runs, notes


def report(name, runs, notes):
    ours = runs["mantissa"]
    for program, used in runs.items():
        if isinstance(used, str):
            print(f"{name:14} {program:9} {used}")
            continue
        seconds = [run.seconds for run in used]
        print(
            f"{name:14} {program:9} {median(used, 'seconds'):7.2f} s"
            f" [{min(seconds):.2f} - {max(seconds):.2f}]"
            f" {median(used, 'cpu_seconds'):7.2f} s cpu"
            f" {median(used, 'peak_mib'):6.0f} MiB"
        )
        if program == "mantissa":
            continue
        ratios = {
            word: median(used, field) / median(ours, field)
            for word, field in (
                ("wall time", "seconds"),
                ("processor time", "cpu_seconds"),
                ("peak memory", "peak_mib"),
            )
        }
        words = ", ".join(f"{value:.1f} x {word}" for word, value in ratios.items())
        print(f"{'':14} {program:9} takes {words}")
    for note in notes:
        print(f"{'':14} {note}")
    sys.stdout.flush()


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mantissa", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("judge", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(
        f"{processor()}, {options.threads} threads; wall time (median"
        f" [min - max] of {options.runs} runs), processor time, peak memory"
    )
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            runs, notes = run_case(name, Path(folder), options)
            report(name, runs, notes)


if __name__ == "__main__":
    main()
