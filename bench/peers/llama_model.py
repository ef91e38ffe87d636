"""What llama.cpp makes of a GGUF model: perplexity, and tokens per second.

Perplexity as its own program computes it: windows of 512 tokens of the text one
behind the other, no BOS, the second half of each scored; with a reference the
KL divergence from it, in nats a token at the same positions; "seconds" are those of
llama_decode alone, without the softmax here. Speed as llama-bench:
a prompt of random tokens, and NEW tokens one by one behind each number of DEPTHS of
positions. Prints JSON.

usage: llama_model.py MODEL.gguf --text FILE --windows N [--threads N]
                      [--reference OTHER.gguf]
       llama_model.py MODEL.gguf --speed PROMPT,NEW,RUNS [--depths 0,..]
                      [--threads N]
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

    def score(self, window):
        """Logits of the positions of the second half."""
        self.forget()
        return self.run(window, 0, CONTEXT // 2)


def log_chances(logits):
    """Of every token, float64."""
    logits = logits[:-1].astype(numpy.float64)
    logits -= logits.max(1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(1, keepdims=True))


def perplexity(model, text, windows, reference):
    tokens = model.tokenize(text)
    scored = CONTEXT - CONTEXT // 2 - 1
    total = apart = 0.0
    taken = 0.0
    for window in range(windows):
        row = tokens[window * CONTEXT : (window + 1) * CONTEXT]
        start = time.perf_counter()
        logits = model.score(row)
        taken += time.perf_counter() - start
        chances = log_chances(logits)
        total -= chances[numpy.arange(scored), row[-scored:]].sum()
        if reference:
            truth = log_chances(reference.score(row))
            apart += (numpy.exp(truth) * (truth - chances)).sum()
    out = {
        "perplexity": math.exp(total / (windows * scored)),
        "tokens_scored": windows * scored,
        "bits_per_weight": model.bits_per_weight(),
        "seconds": taken,
    }
    if reference:
        out["kl_divergence"] = apart / (windows * scored)
    return out


def rate(model, tokens, begin, step):
    """Tokens a second of what follows the `begin` positions already there."""
    start = time.perf_counter()
    for at in range(begin, len(tokens), step):
        model.run(tokens[at : at + step], at, min(at + step, len(tokens)) - 1)
    return (len(tokens) - begin) / (time.perf_counter() - start)


def speed(model, prompt, new, depths, runs):
    tokens = numpy.random.default_rng(0).integers(
        3, model.tokens, max(prompt, max(depths) + new))

    def once():
        model.forget()
        rates = [rate(model, tokens[:prompt], 0, CONTEXT)]
        for depth in depths:
            model.forget()
            if depth:
                rate(model, tokens[:depth], 0, CONTEXT)
            rates.append(rate(model, tokens[: depth + new], depth, 1))
        return rates

    once()
    taken = [once() for _ in range(runs)]
    read, *decoded = (statistics.median(column) for column in zip(*taken))
    return {"prompt_tokens_per_second": read, "decode_tokens_per_second": decoded}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--reference")
    parser.add_argument("--speed")
    parser.add_argument("--depths", default="0")
    options = parser.parse_args()
    callback = silence()
    if options.speed:
        prompt, new, runs = map(int, options.speed.split(","))
        depths = [int(word) for word in options.depths.split(",")]
        model = Model(options.model, options.threads,
                      max(prompt, max(depths) + new))
        out = speed(model, prompt, new, depths, runs)
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
