"""GGUF files whose vocabulary has scores (tokenizer.ggml.model = llama)."""

import gguf
import numpy as np
from tokenizers import processors
from transformers.integrations.gguf import gguf_tokenizer_mapping


def scored(tree):
    """Scores in another order than the ids; no ties, which the wheel lacks."""
    vocabulary = tree["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    kinds_of = [2, 3, 3] + [6] * 256
    return [(token, -float(i * 7919 % 100003),
             kinds_of[i] if i < len(kinds_of) else 1)
            for i, token in enumerate(tokens)]


def zeros(rows, hidden=64):
    """The tensors of a Llama of one layer."""
    shapes = {
        "token_embd": (rows, hidden), "output_norm": (hidden,),
        "blk.0.attn_norm": (hidden,), "blk.0.ffn_norm": (hidden,),
        "blk.0.attn_q": (64, hidden), "blk.0.attn_k": (32, hidden),
        "blk.0.attn_v": (32, hidden), "blk.0.attn_output": (hidden, 64),
        "blk.0.ffn_gate": (96, hidden), "blk.0.ffn_up": (96, hidden),
        "blk.0.ffn_down": (hidden, 96)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def write_gguf(path, pieces, tensors=None, architecture="llama", **flags):
    """A decoder whose vocabulary has scores; 4 heads, 2 of keys. A tensor may
    be of bytes, with its type beside."""
    tensors = tensors or zeros(len(pieces))
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(sum(name.endswith("attn_q") for name in tensors))
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _, _ in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_types([kind for _, _, kind in pieces])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for key, value in flags.items():
        getattr(writer, f"add_{key}")(value)
    for name, values in tensors.items():
        values, kind = values if isinstance(values, tuple) else (values, None)
        writer.add_tensor(f"{name}.weight", values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def of_transformers(path):
    """What Transformers makes of the file where U+2581 is a normalizer's, as
    llama.cpp does it (its builder for phi3)."""
    _, keys, _ = gguf_tokenizer_mapping.get_gguf_tokenizer(str(path))
    reader = gguf.GGUFReader(path)
    for name in ("scores", "token_type", "tokens"):
        keys[name] = reader.fields[f"tokenizer.ggml.{name}"].contents()
    wheel, _ = gguf_tokenizer_mapping.convert_gguf_tokenizer("phi3", keys)
    wheel.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)])
    return wheel
