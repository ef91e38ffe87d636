"""Which activations leave their codes no choice.

Two programs that add in another order differ in the last bits of x, and where
x / scale lies that close to the middle of two codes, in the code: a step of the
scale. `watch(model)` looks at every quantized activation of a model that
compressed-tensors runs and tells the first position of a prompt from which on
that may happen."""

import torch
from compressed_tensors.quantization.lifecycle import forward
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

# What float32 sums of other orders differ by, and more: of the value, and of the
# largest one of its row.
OF_VALUE, OF_LARGEST = 1e-6, {"int": 1e-7, "float": 3e-8}
# A step between subnormal codes of float8 is too small to be seen in a logit.
SMALL_STEP = 2**-9


def codes(steps, args):
    if args.type == "int":
        return torch.round(torch.clamp(steps, -128, 127))
    return torch.clamp(steps, -448, 448).to(torch.float8_e4m3fn).float()


def undecided(module, x, args):
    """Positions of x [1, T, K] with a code or a zero point in the balance."""
    if args.dynamic:
        scale, zero = compute_dynamic_scales_and_zp(x, args, module)
    else:
        scale, zero = module.input_scale, getattr(module, "input_zero_point", None)
    steps = x / scale
    largest = 127 if args.type == "int" else 448
    margin = OF_VALUE * steps.abs() + OF_LARGEST[args.type] * largest
    if zero is not None:
        steps = steps + zero.to(x.dtype)
    jump = codes(steps + margin, args) - codes(steps - margin, args)
    loose = (jump > SMALL_STEP).any(-1)
    if args.dynamic and not args.symmetric:
        least = -128 - x.amin(-1).clamp_max(0) / scale.reshape(1, -1)
        slack = OF_VALUE * 128
        loose |= codes(least - slack, args) != codes(least + slack, args)
    return loose[0]


class watch:
    """The first position whose codes are not decided, of the calls inside."""

    def __enter__(self):
        self.first = 1 << 30
        self.original = forward.forward_quantize
        forward.forward_quantize = self.look
        return self

    def __exit__(self, *_):
        forward.forward_quantize = self.original

    def look(self, module, value, base_name, args):
        if base_name == "input":
            loose = undecided(module, value, args).nonzero()
            if len(loose):
                self.first = min(self.first, int(loose[0]))
        return self.original(module, value, base_name, args)


def steady_(model):
    """One channel leads the activations of every layer, and is positive: codes
    then depend on the others by their size alone. (The largest magnitude of a
    row lies on the edge between -128 and -127 where it is negative.)"""
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(0.5)[:, 0] = 1
        for layer in model.model.layers:
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                norm.weight.fill_(1)
            layer.self_attn.v_proj.weight[0, 0] = 2
            layer.mlp.gate_proj.weight[0, 0] = layer.mlp.up_proj.weight[0, 0] = 1
            for last in (layer.self_attn.o_proj, layer.mlp.down_proj):
                last.weight.div_(16)[0] = 0
    return model
