"""Quantizing a model, ours beside its peers, each as a whole process.

A process is started, quantizes MODEL into a directory and ends; what counts is
its wall time, the processor time of all its threads (which other programs on
the machine disturb less) and its peak memory. All take the same config and
threads, the files are in the page cache, and runs take turns. Where a peer
writes the same format, its tensors are compared with ours byte by byte.

llama.cpp reads the same model as F16 GGUF, and what counts is its call
`llama_model_quantize` alone, without the start of Python. It quantizes the
embedding too; ours keeps it in bfloat16, hashes, measures the SQNR, syncs and
reads back what it wrote, and writes no report.

usage: quantize.py MANTISSA MODEL JUDGE_PYTHON [--threads N] [--runs N]
                   [--llama PYTHON --gguf MODEL.gguf] [--case NAME]

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


@dataclass
class Case:
    """What is asked of each program; None where it has nothing like it."""

    config: dict = None  # torchao's JSON
    scheme: str = None  # of compressed-tensors
    llama: str = None  # llama.cpp's type
    runs: int = 100  # at most; for peers that take a minute


def intx4(**fields):
    return config(
        "IntxWeightOnlyConfig",
        2,
        weight_dtype=dtype("int4"),
        granularity=per_group(32),
        **fields,
    )


HQQ = {
    "_type": "IntxChooseQParamsAlgorithm",
    "_data": "HQQ_SCALE_ONLY",
}

CASES = {
    "int8 per row": Case(config("Int8WeightOnlyConfig", 2), llama="Q8_0"),
    "intx int4 g32": Case(intx4()),
    "float8 per row": Case(config("Float8WeightOnlyConfig", 2)),
    "int4 g64": Case(config("Int4WeightOnlyConfig", 2, group_size=64)),
    "W4A16 g32": Case(scheme="W4A16", llama="Q4_0"),
    "intx int4 HQQ": Case(intx4(intx_choose_qparams_algorithm=HQQ), runs=1),
}


@dataclass
class Job:
    """What every command line is made from."""

    case: Case
    config: Path
    model: Path
    out: Path
    options: argparse.Namespace


def mantissa(job):
    return [
        job.options.mantissa,
        "quantize",
        job.model,
        *(["-c", job.config] if job.case.config else []),
        *(["--scheme", job.case.scheme] if job.case.scheme else []),
        *(["--group-size", 32] if job.case.scheme else []),
        "-o",
        job.out,
        "-j",
        job.options.threads,
        "--quiet",
        "--no-report",
    ]


def torchao(job):
    if job.case.config is None:
        return None
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
    if job.case.config is None:
        return None
    return [job.options.judge, "-c", "import torch, torchao, transformers"]


def llama(job):
    if job.case.llama is None or job.options.f16 is None:
        return None
    return llama_command(job.options, job.options.f16, job.out, job.case.llama)


def llama_command(options, source, target, kind):
    script = HERE / "llama_quantize.py"
    return [options.llama, script, source, target, kind, options.threads]


@dataclass
class Peer:
    command: callable
    same_tensors: bool = False  # as ours, byte by byte
    prints_usage: bool = False  # its last line replaces times of the process


PEERS = {
    "torchao": Peer(torchao, same_tensors=True),
    "imports": Peer(torchao_imports),
    "llama.cpp": Peer(llama, prints_usage=True),
}


@dataclass
class Usage:
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Failed(Exception):
    """A program that ended with an error; the last line that it printed."""


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def measure(command, job, prints_usage=False):
    """Runs a command to its end. Throws Failed with its last line."""
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.unlink(missing_ok=True)
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
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
        if code != 0:
            raise Failed(lines[-1] if lines else f"exit {code}")
        if prints_usage:
            used |= json.loads(lines[-1])
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
    case = CASES[name]
    path = folder / "config.json"
    path.write_text(json.dumps(case.config))
    programs = {"mantissa": Peer(mantissa), **PEERS}
    runs, notes = {}, []
    turns = min(options.runs, case.runs) + 1  # the first one fills the caches
    for turn in range(turns):
        for program, peer in programs.items():
            if isinstance(runs.get(program), str):
                continue
            out = folder / program
            job = Job(case, path, options.model, out, options)
            words = peer.command(job)
            if words is None:
                continue
            try:
                used = measure(words, job, peer.prints_usage)
            except Failed as error:
                if program == "mantissa":
                    raise SystemExit(f"{name}: {error}") from error
                runs[program] = f"fails: {error}"
                continue
            if turn > 0:
                runs.setdefault(program, []).append(used)
            elif peer.same_tensors:
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


def make_f16(options, folder):
    """The model as F16 GGUF, llama.cpp's input; None without llama.cpp."""
    if not options.llama or not options.gguf:
        return None
    f16 = folder / "f16.gguf"
    command = llama_command(options, options.gguf, f16, "F16")
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return f16


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
    parser.add_argument("--llama", type=Path, help="Python with llama_cpp")
    parser.add_argument("--gguf", type=Path, help="the model for llama.cpp")
    parser.add_argument("--case", choices=CASES, help="only this one")
    options = parser.parse_args()
    print(
        f"{processor()}, {options.threads} threads; wall time (median"
        f" [min - max] of {options.runs} runs), processor time, peak memory"
    )
    with tempfile.TemporaryDirectory() as cache:
        options.f16 = make_f16(options, Path(cache))
        for name in [options.case] if options.case else CASES:
            with tempfile.TemporaryDirectory() as folder:
                runs, notes = run_case(name, Path(folder), options)
                report(name, runs, notes)


if __name__ == "__main__":
    main()
