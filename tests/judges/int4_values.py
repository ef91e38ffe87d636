"""Weights that the int4 judges share."""

import torch


def awkward(shape, dtype, seed):
    """Every kind of row: ordinary, zero, constant, outlier, tiny, ties."""
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=g, dtype=torch.float32) * 0.03
    rows = w.view(-1, shape[-1])
    k = shape[-1]
    steps = torch.arange(k, dtype=torch.float32)
    for r in range(rows.shape[0]):
        kind = r % 9
        if kind == 1:
            rows[r] = 0.0
        elif kind == 2:
            rows[r] = -1.3
        elif kind == 3:
            rows[r, k // 3] = 40.0
        elif kind == 4:
            rows[r] = 6e-8 * (steps % 11)
        elif kind == 5:
            rows[r] = 0.5 * (steps % 31)
        elif kind == 6:
            rows[r] = rows[r].abs() + 0.25
        elif kind == 7:
            rows[r] *= 100.0
    return w.to(dtype)


def ordinary(shape, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=g, dtype=torch.float32) * 0.03
    return w.to(dtype)
