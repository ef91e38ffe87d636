"""Products that torchao runs on a GPU alone, from their formulas in float64.

float8 weights and activations in blocks (128x128 and 1x128): torchao's own
tensors, which it makes on a CPU, multiplied as values. Int4 weights with float8
activations: a float32 scale a row, max(|x|) / 448 and at least 1 / (512 * 448),
as MSLK quantizes rows."""

import torch
from safetensors.torch import load_file
from torchao.quantization import (
    Float8DynamicActivationFloat8WeightConfig,
    quantize_,
)
from torchao.quantization.granularity import PerBlock
from torchao.quantization.quantize_.workflows.float8.float8_tensor import (
    Float8Tensor,
)

K, N = 384, 256
SHAPES = [(1, K), (7, K), (2, 5, K)]
BLOCKS = Float8DynamicActivationFloat8WeightConfig(
    granularity=[PerBlock([1, 128]), PerBlock([128, 128])])


def inputs(dtype):
    torch.manual_seed(7)
    out = {f"{layer}/{i}": (torch.randn(shape) * 3).to(dtype)
           for layer in (0, 1) for i, shape in enumerate(SHAPES)}
    out["0/1"][3] *= 1e-4  # a row of its own scale
    out["0/1"][:, 200] = 50
    return out


def model(dtype):
    torch.manual_seed(8)
    return torch.nn.Sequential(
        torch.nn.Linear(K, N), torch.nn.Linear(K, N, bias=False)).to(dtype)


def blocks_of(tensor, block):
    rows = tensor.scale.repeat_interleave(block[0], 0)
    scale = rows.repeat_interleave(block[1], 1)
    return tensor.qdata.double() * scale.double()


def blockwise(x, weight):
    rows = x.reshape(-1, K)
    kwargs = weight.act_quant_kwargs
    made = Float8Tensor.from_hp(rows, kwargs.float8_dtype, kwargs.granularity)
    return blocks_of(made, (1, 128)), blocks_of(weight, (128, 128))


def int4_values(fields, name):
    """[N, K] from two codes a byte, low first, and [K / 128, N] scales."""
    packed = fields[f"{name}._weight_qdata"].to(torch.int16)
    codes = torch.stack([packed << 12 >> 12, packed << 8 >> 12], -1)
    codes = codes.reshape(N, K).double()
    scale = fields[f"{name}._weight_scale"].double().t()
    zero = fields[f"{name}._weight_zero_point"].double().t()
    return (codes * scale.repeat_interleave(128, 1)
            + zero.repeat_interleave(128, 1))


def float8_rows(x):
    rows = x.reshape(-1, K).float()
    scale = rows.abs().amax(-1, keepdim=True).clamp(min=1 / 512) / 448
    codes = (rows / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
    return codes.double() * scale.double()


def check(case, y, x, w, bias, weight_eps=0.0):
    """Within float32 sums and one rounding of y; another code is far more."""
    expected = x @ w.t()
    bound = 1e-6 * (x.abs() @ w.abs().t())
    bound += weight_eps * (x.abs() @ w.abs().t())
    if bias is not None:
        expected += bias.double()
        bound += 1e-6 * bias.double().abs()
    bound += torch.finfo(y.dtype).eps * expected.abs()
    error = (y.reshape(expected.shape).double() - expected).abs()
    assert (error <= bound).all(), (
        f"{case}: {(error > bound).sum()} of {error.numel()} differ, by up to "
        f"{error.max()} where {bound.flatten()[error.argmax()]} is allowed")


def judge(run, save, folder):
    for dtype in (torch.float32, torch.bfloat16):
        rows = inputs(dtype)
        save(rows, folder / "x.safetensors", False)
        net = model(dtype)
        save(net.state_dict(), folder / "plain.safetensors", False)
        # Weights decode to their dtype, in which the product takes them.
        half = torch.finfo(dtype).eps / 2
        run("quantize", "float8_dynamic_activation_int4_weight:int4_packing_format=plain",
            folder / "plain.safetensors", folder / "int4")
        run("run", folder / "int4", folder / "x.safetensors",
            folder / "y.safetensors")
        found = load_file(folder / "y.safetensors")
        fields = load_file(folder / "int4" / "model.safetensors")
        for name, x in rows.items():
            check(f"int4, float8 activations, {dtype} {name}", found[name],
                  float8_rows(x), int4_values(fields, name[0]),
                  net[int(name[0])].bias, half)
        quantize_(net, BLOCKS)
        save(net.state_dict(), folder / "blocks.safetensors", True)
        run("run", folder / "blocks.safetensors", folder / "x.safetensors",
            folder / "y.safetensors")
        found = load_file(folder / "y.safetensors")
        for name, x in rows.items():
            layer = net[int(name[0])]
            check(f"float8 blocks, {dtype} {name}", found[name],
                  *blockwise(x, layer.weight), layer.bias)
        print(f"float8 blocks and int4 with float8 activations, {dtype}: "
              "products of the formula")
