"""Quantizes a directory as torchao's users do: Transformers and TorchAoConfig.

usage: torchao_quantize.py CONFIG.json MODEL OUT THREADS
"""

import json
import sys
from pathlib import Path

import torch
from torchao.core.config import config_from_dict
from transformers import AutoModelForCausalLM, AutoTokenizer, TorchAoConfig

config, model, out, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
quantization = TorchAoConfig(config_from_dict(json.loads(Path(config).read_text())))
loaded = AutoModelForCausalLM.from_pretrained(
    model, dtype="auto", quantization_config=quantization
)
loaded.save_pretrained(out)
AutoTokenizer.from_pretrained(model).save_pretrained(out)
