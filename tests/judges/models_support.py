"""What the judges of running models share: the probe and its job file."""

import json
import subprocess

import numpy


def run_probe(probe, jobs, scratch, refused=()):
    """Answers of the probe to all jobs; only jobs in `refused` may fail."""
    (scratch / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run([probe, scratch / "jobs.json", scratch], check=True)
    answers = json.loads((scratch / "answers.json").read_text())
    for i, (job, answer) in enumerate(zip(jobs, answers)):
        if i not in refused:
            assert "error" not in answer, (job.get("model"), answer["error"])
    return answers


def read_floats(path, shape):
    return numpy.fromfile(path, numpy.float32).reshape(shape)
