"""Sampling, generation and perplexity against Transformers.

Sampling: the chances after each warper alone and all of them, within 1e-12 of
Transformers' warpers on float64. Generation: greedy answers, stop tokens and a
full context. Perplexity: tiny models against float64 sums over Transformers'
logits, both protocols, KL divergence and top-1 agreement.

usage: generation_judge.py PROBE
"""

import math
import sys
import tempfile
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from models_support import run_probe
from transformers_support import load, save, tiny_model

PROBE = sys.argv[1]
VOCABULARY = 200
# In the order in which they apply.
WARPERS = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}
SAMPLING = [
    {"temperature": 0.7},
    {"top_k": 5},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"repetition_penalty": 1.3},
    {
        "repetition_penalty": 1.2,
        "temperature": 1.4,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.03,
    },
]


def sampling_jobs():
    torch.manual_seed(2)
    logits = (3 * torch.randn(VOCABULARY)).tolist()
    seen = torch.randint(0, VOCABULARY, (20,)).tolist()
    return [
        {"kind": "sampling", "logits": logits, "seen": seen, "sampling": words}
        for words in SAMPLING
    ]


def judge_sampling(jobs, answers):
    for job, answer in zip(jobs, answers):
        # float32 as in the probe, then float64 throughout.
        scores = torch.tensor([job["logits"]], dtype=torch.float32).double()
        ids = torch.tensor([job["seen"]])
        for key, warper in WARPERS.items():
            if key in job["sampling"]:
                scores = warper(job["sampling"][key])(ids, scores)
        expected = torch.softmax(scores[0], -1)
        ours = torch.tensor(answer["probabilities"], dtype=torch.float64)
        assert torch.equal(ours > 0, expected > 0), job["sampling"]
        error = (ours - expected).abs().max().item()
        assert error <= 1e-12, (job["sampling"], error)
        kept = int((ours > 0).sum())
        print(f"sampling {job['sampling']}: {kept} kept, within {error:.0e}")


def greedy(model, ids, count):
    ids = list(ids)
    with torch.no_grad():
        for _ in range(count):
            logits = model(torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits.argmax()))
    return ids[-count:]


def generate_jobs(directory, tokens):
    base = {
        "kind": "generate",
        "model": str(directory),
        "prompt": [3, 1, 4, 1, 5],
        "sampling": {"temperature": 0},
        "context": 64,
        "max_new_tokens": 12,
    }
    first = tokens.index(tokens[5])
    return [
        (base, tokens, 1),
        ({**base, "stop_tokens": [tokens[5]]}, tokens[:first], 0),
        ({**base, "context": 9}, tokens[:5], 2),
    ]


def judge_generate(cases, answers):
    for (job, tokens, end), answer in zip(cases, answers):
        assert answer["tokens"] == tokens, (job, answer, tokens)
        assert answer["end"] == end, (job, answer)
    print(f"generate: {len(cases)} greedy answers equal, each end reached")


def log_chances(model, ids, context, windows, bos):
    rows = torch.tensor(ids[: context * windows]).reshape(windows, context)
    if bos is not None:
        rows[:, 0] = bos
    with torch.no_grad():
        logits = torch.cat([model(row[None]).logits for row in rows])
    return rows, torch.log_softmax(logits.double(), -1)


def expected_perplexity(job, model, reference=None):
    windows = job.get("windows") or len(job["tokens"]) // job["context"]
    setup = job["tokens"], job["context"], windows, job.get("bos")
    rows, log = log_chances(model, *setup)
    first = 0 if job.get("full") else job["context"] // 2
    log = log[:, first:-1]
    targets = rows[:, first + 1:]
    nll = -log.gather(2, targets[..., None]).mean().item()
    out = {"nll": nll, "perplexity": math.exp(nll), "tokens_scored": targets.numel()}
    if reference is not None:
        other = log_chances(reference, *setup)[1][:, first:-1]
        out["kl"] = (other.exp() * (other - log)).sum(-1).mean().item()
        out["top1"] = (other.argmax(-1) == log.argmax(-1)).double().mean().item()
    return out


def judge_perplexity(job, model, reference, answer, bound):
    expected = expected_perplexity(job, model, reference)
    for key, value in expected.items():
        assert abs(answer[key] - value) <= bound * abs(value), (key, answer, expected)
    print(f"perplexity {expected['perplexity']:.4f}, "
          f"{expected['tokens_scored']} tokens: "
          f"{answer['perplexity'] / expected['perplexity'] - 1:+.1e}; "
          + ", ".join(f"{k} {expected[k]:.4f}" for k in ("kl", "top1") if k in expected))


def perplexity_jobs(directory, other):
    torch.manual_seed(5)
    tokens = torch.randint(0, 96, (275,)).tolist()
    base = {"kind": "perplexity", "model": str(directory), "tokens": tokens,
            "context": 40}
    return [
        base,
        {**base, "full": True, "windows": 5, "batch": 2, "bos": 7},
        {**base, "context": 33, "reference": str(other)},
    ]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tiny = load(save(tiny_model("Llama", torch.float32), scratch / "tiny"))
        other = load(save(tiny_model("Llama", torch.float32, rope_theta=500.0),
                          scratch / "other"))
        sampling = sampling_jobs()
        generating = generate_jobs(scratch / "tiny", greedy(tiny, [3, 1, 4, 1, 5], 12))
        measuring = perplexity_jobs(scratch / "tiny", scratch / "other")
        jobs = sampling + [case[0] for case in generating] + measuring
        answers = run_probe(PROBE, jobs, scratch)
        judge_sampling(sampling, answers)
        judge_generate(generating, answers[len(sampling):])
        for job, answer in zip(measuring, answers[-3:]):
            reference = other if "reference" in job else None
            judge_perplexity(job, tiny, reference, answer, 1e-5)


main()
