"""Judges the report of a run with other people's readers.

usage: report_judge.py MANTISSA

A model whose names carry markup, formulas, control and bidirectional characters
is quantized. SQNR and largest error in tensors.csv, experts.csv and
summary.json must be those that torch computes in float64 from torchao's own
dequantize() of the directory; Python's csv, json and html.parser and
markdown-it must read every form, find every name as text, and no markup that
the report does not make.
"""
import csv
import html.parser
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torchao.prototype.safetensors.safetensors_support import (
    unflatten_tensor_state_dict,
)

TOOL = sys.argv[1]
HOSTILE = [
    "evil.\"><script>alert(1)</script>",
    "evil.|`x`[link](javascript:alert(1))![img](http://example.invalid/a.png)",
    "=HYPERLINK(\"http://example.invalid\").weight",
    "+1.<img src=x onerror=alert(1)>",
    "evil.\u202egpj.exe\u200b",
    "evil.</pre></style></svg><iframe src=javascript:alert(1)>",
]
CONFIGS = ["int8_weight_only", "float8_weight_only",
           "intx_weight_only:weight_dtype=int4,granularity=per_group(32)"]
EXPERTS = "model.layers.0.mlp.experts.down_proj"
# What the page is made of; a script, link, image or frame is none of it.
TAGS = set("html head meta title style body h1 h2 h3 p small strong bdi code "
           "pre dl div dt dd section table thead tbody tr th td figure "
           "figcaption svg rect text tspan g line details summary".split())
VOID = {"meta"}


def model():
    torch.manual_seed(5)
    tensors = {"model.embed_tokens.weight": torch.randn(32, 64),
               "model.norm.weight": torch.ones(64),
               "lm_head.weight": torch.randn(32, 64)}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        tensors[prefix + "self_attn.q_proj.weight"] = torch.randn(64, 64)
        tensors[prefix + "mlp.gate.weight"] = torch.randn(3, 64)
        for expert in range(3):
            for part in ("gate_proj", "up_proj", "down_proj"):
                name = f"{prefix}mlp.experts.{expert}.{part}.weight"
                tensors[name] = torch.randn(64, 64) * (expert + 1)
    tensors["model.layers.1.self_attn.q_proj.weight"][3, 5] = 40
    for name in HOSTILE:
        tensors[name] = torch.randn(64, 64)
    return {name: t.to(torch.bfloat16) for name, t in tensors.items()}


def loading_weights(tensors):
    """The model's weights under the names of the class that loads it."""
    out = {k: v for k, v in tensors.items() if ".experts." not in k}
    for layer in range(2):
        prefix = f"model.layers.{layer}.mlp.experts."
        part = {p: torch.stack([tensors[f"{prefix}{e}.{p}.weight"]
                                for e in range(3)])
                for p in ("gate_proj", "up_proj", "down_proj")}
        out[prefix + "gate_up_proj"] = torch.cat(
            [part["gate_proj"], part["up_proj"]], 1)
        out[prefix + "down_proj"] = part["down_proj"]
    return out


def sqnr(weight, decoded):
    error = weight.double() - decoded.double()
    noise = error.square().sum().item()
    signal = weight.double().square().sum().item()
    return (math.inf if noise == 0 else 10 * math.log10(signal / noise),
            error.abs().max().item())


def visible(name):
    return name.replace("\u202e", "\\u{202e}").replace(
        "\u200b", "\\u{200b}")


class Page(html.parser.HTMLParser):
    """Checks nesting and tags, collects text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS, f"<{tag}> {attributes}"
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("href", "src", "xlink:href"), (tag, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def check_values(report, state, weights):
    with open(report / "tensors.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {visible(n): n for n in weights}
    assert {r["name"].removeprefix("'") for r in rows} == set(names)
    signal = noise = 0
    measured = 0
    for row in rows:
        assert not row["name"][0] in "=+-@", row["name"]
        name = names[row["name"].removeprefix("'")]
        if row["action"] != "quantize":
            assert row["sqnr_db"] == ""
            continue
        measured += 1
        decoded = state[name].dequantize()
        wanted, largest = sqnr(weights[name], decoded)
        assert abs(float(row["sqnr_db"]) - wanted) < 0.0051, (name, row, wanted)
        assert math.isclose(float(row["max_error"]), largest,
                            rel_tol=1e-6), (name, row, largest)
        assert math.isclose(float(row["max_weight"]),
                            weights[name].double().abs().max().item())
        signal += weights[name].double().square().sum().item()
        noise += (weights[name].double() - decoded.double()).square().sum().item()
    summary = json.loads((report / "summary.json").read_text())
    assert summary["quality"]["measured_tensors"] == measured >= 7
    wanted = 10 * math.log10(signal / noise)
    assert abs(summary["quality"]["sqnr_db"] - wanted) < 1e-6, wanted
    experts = report / "experts.csv"
    # Not the one of an earlier run where experts were skipped.
    assert experts.exists() == (EXPERTS in state and
                                type(state[EXPERTS]) is not torch.Tensor)
    if not experts.exists():
        return measured
    with open(experts, newline="") as file:
        for row in csv.DictReader(file):
            expert = int(row["expert"])
            wanted, largest = sqnr(weights[row["name"]][expert],
                                   state[row["name"]].dequantize()[expert])
            assert abs(float(row["sqnr_db"]) - wanted) < 0.0051, (row, wanted)
            rms = weights[row["name"]][expert].double().square().mean().sqrt()
            assert math.isclose(float(row["weight_rms"]), rms, rel_tol=1e-6)
    return measured


def check_page(report):
    page = Page()
    page.feed((report / "report.html").read_text(encoding="utf-8"))
    page.close()
    assert page.open == [], page.open
    text = "".join(page.text)
    for name in HOSTILE:
        assert visible(name) in text, name


def check_card(report):
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        print("markdown-it is not there: report.md not read")
        return
    text = (report / "report.md").read_text(encoding="utf-8")
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    found = []

    def walk(tokens):
        for token in tokens:
            found.append(token.type)
            walk(token.children or [])

    tokens = parser.parse(text)
    walk(tokens)
    for kind in ("html_block", "html_inline", "link_open", "image"):
        assert kind not in found, kind
    cells = "".join(c.content for t in tokens for c in (t.children or []))
    worst = json.loads((report / "summary.json").read_text())
    for tensor in worst["quality"]["worst"][:10]:
        assert visible(tensor["name"]) in cells, tensor["name"]


def main():
    tensors = model()
    weights = loading_weights(tensors)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model"
        source.mkdir()
        save_file(tensors, source / "model.safetensors")
        (source / "config.json").write_text(json.dumps({
            "architectures": ["Qwen3MoeForCausalLM"],
            "model_type": "qwen3_moe", "num_experts": 3,
            "tie_word_embeddings": False}))
        for config in CONFIGS:
            out = Path(folder) / "out"
            run = subprocess.run(
                [TOOL, "quantize", source, "-c", config, "-o", out, "--force",
                 "--allow-unknown-names", "--allow-skipped"], capture_output=True, text=True)
            assert run.returncode == 0, run.stderr
            with safe_open(out / "model.safetensors", "pt") as file:
                stored = {n: file.get_tensor(n) for n in file.keys()}
                state, left = unflatten_tensor_state_dict(
                    stored, file.metadata())
            assert not left, list(left)
            report = Path(folder) / "out.report"
            measured = check_values(report, state, weights)
            check_page(report)
            check_card(report)
            print(f"{config}: {measured} tensors, as torch measures them")


main()
