"""Weights that show every corner of the affine formulas."""
import torch

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def weight(rows, columns, dtype, seed=0, spread=0.05):
    """Random rows, then zero rows, constants, denormals, an outlier, ties."""
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(rows, columns, generator=g) * spread
    w = w * torch.logspace(-3, 2, rows).unsqueeze(1)
    tiny = torch.finfo(dtype).smallest_normal
    special = [
        lambda r: torch.zeros_like(r),
        lambda r: torch.full_like(r, 0.7),
        lambda r: torch.full_like(r, -0.7),
        lambda r: r * 0 + torch.linspace(-4, 4, columns) * tiny,
        lambda r: torch.where(torch.arange(columns) == columns // 2, 300.0, r),
        lambda r: (torch.arange(columns) % 255 - 127).float(),
        lambda r: (torch.arange(columns) % 31 - 15).float() * 0.5,
        lambda r: r.abs(),
        lambda r: -r.abs(),
        lambda r: torch.full_like(r, -0.0),
        lambda r: torch.full_like(r, tiny / 2),
    ]
    for i, make in enumerate(special):
        if 2 * i + 1 < rows:
            w[2 * i + 1] = make(w[2 * i + 1])
    return w.to(dtype)


def same_bytes(a, b):
    """Equal dtype, shape and bits."""
    return (a.dtype == b.dtype and a.shape == b.shape and torch.equal(
        a.contiguous().flatten().view(torch.uint8),
        b.contiguous().flatten().view(torch.uint8)))

