"""What llama.cpp makes of a GGUF model: perplexity, and tokens per second.

Perplexity as its own program computes it: windows of 512 tokens of the text one
behind the other, no BOS, the second half of each scored; with a reference the
KL divergence from it, in nats a token at the same positions. Speed as llama-bench:
a prompt of N random tokens, then one token after the other. Prints JSON.

usage: llama_model.py MODEL.gguf --text FILE --windows N [--threads N]
                      [--reference OTHER.gguf]
       llama_model.py MODEL.gguf --speed PROMPT,NEW,RUNS [--threads N]
"""

import argparse
import ctypes
import json
import math
import statistics
import time
from pathlib import Path

import llama_cpp as llama
import numpy

CONTEXT = 512


def silence():
    callback = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(callback, ctypes.c_void_p(0))
    llama.llama_backend_init()
    return callback  # must outlive every call


class Model:
    def __init__(self, path, threads, context):
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(str(path).encode(), parameters)
        assert self.model, path
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        self.tokens = llama.llama_vocab_n_tokens(self.vocabulary)
        setup = llama.llama_context_default_params()
        setup.n_ctx = context
        setup.n_batch = setup.n_ubatch = CONTEXT
        setup.n_threads = setup.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, setup)
        self.memory = llama.llama_get_memory(self.context)
        self.batch = llama.llama_batch_init(CONTEXT, 0, 1)

    def bits_per_weight(self):
        """Of all tensors, scales included."""
        size = llama.llama_model_size(self.model)
        return 8 * size / llama.llama_model_n_params(self.model)

    def tokenize(self, text):
        data = text.encode()
        out = (llama.llama_token * (len(data) + 8))()
        count = llama.llama_tokenize(
            self.vocabulary, data, len(data), out, len(out), False, False
        )
        assert count >= 0
        return numpy.array(out[:count], dtype=numpy.int64)

    def forget(self):
        llama.llama_memory_clear(self.memory, True)

    def run(self, tokens, begin, wanted):
        """One pass; logits of the positions [wanted, end)."""
        self.batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            self.batch.token[i] = int(token)
            self.batch.pos[i] = begin + i
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = 0
            self.batch.logits[i] = begin + i >= wanted
        assert llama.llama_decode(self.context, self.batch) == 0
        llama.llama_synchronize(self.context)
        rows = begin + len(tokens) - wanted
        found = llama.llama_get_logits(self.context)
        return numpy.ctypeslib.as_array(found, shape=(rows, self.tokens))


def log_chances(model, row):
    """Of every token at the second half's positions, float64 [255, tokens]."""
    model.forget()
    logits = model.run(row, 0, CONTEXT // 2)[:-1].astype(numpy.float64)
    logits -= logits.max(1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(1, keepdims=True))


def perplexity(model, text, windows, reference):
    tokens = model.tokenize(text)
    scored = CONTEXT - CONTEXT // 2 - 1
    total = apart = 0.0
    start = time.perf_counter()
    for window in range(windows):
        row = tokens[window * CONTEXT : (window + 1) * CONTEXT]
        chances = log_chances(model, row)
        total -= chances[numpy.arange(scored), row[-scored:]].sum()
        if reference:
            truth = log_chances(reference, row)
            apart += (numpy.exp(truth) * (truth - chances)).sum()
    out = {
        "perplexity": math.exp(total / (windows * scored)),
        "tokens_scored": windows * scored,
        "bits_per_weight": model.bits_per_weight(),
        "seconds": time.perf_counter() - start,
    }
    if reference:
        out["kl_divergence"] = apart / (windows * scored)
    return out


def speed(model, prompt, new, runs):
    tokens = numpy.random.default_rng(0).integers(3, model.tokens, prompt + new)

    def once():
        model.forget()
        start = time.perf_counter()
        model.run(tokens[:prompt], 0, prompt - 1)
        middle = time.perf_counter()
        for i in range(prompt, prompt + new):
            model.run(tokens[i : i + 1], i, i)
        return prompt / (middle - start), new / (time.perf_counter() - middle)

    once()
    taken = [once() for _ in range(runs)]
    medians = [statistics.median(column) for column in zip(*taken)]
    return dict(zip(("prompt_tokens_per_second", "decode_tokens_per_second"), medians))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--reference")
    parser.add_argument("--speed")
    options = parser.parse_args()
    callback = silence()
    if options.speed:
        prompt, new, runs = map(int, options.speed.split(","))
        model = Model(options.model, options.threads, prompt + new)
        out = speed(model, prompt, new, runs)
    else:
        model = Model(options.model, options.threads, CONTEXT)
        reference = None
        if options.reference:
            reference = Model(options.reference, options.threads, CONTEXT)
        out = perplexity(model, Path(options.text).read_text(), options.windows,
                         reference)
    print(json.dumps(out))
    del callback


main()
