"""The int4 formulas and layouts, written out in torch lines."""

import torch

# The columns of the eight nibbles of a tinygemm word, low nibble first.
NIBBLE_COLUMNS = (0, 8, 16, 24, 1, 9, 17, 25)


def pack_tiles(codes, inner_k_tiles=8):
    """uint4 codes [N, K] to words [N/8, K/(16 ikt), 32, ikt/2], one by one."""
    n, k = codes.shape
    span = 16 * inner_k_tiles
    words = torch.zeros(n // 8, k // span, 32, inner_k_tiles // 2, dtype=torch.int64)
    lane = torch.arange(32)
    for j in range(inner_k_tiles // 2):
        for i, column in enumerate(NIBBLE_COLUMNS):
            rows = lane // 4
            columns = 32 * j + 2 * (lane % 4) + column
            tiles = codes.view(n // 8, 8, k // span, span).to(torch.int64)
            words[:, :, :, j] |= tiles[:, rows, :, columns].permute(1, 2, 0) << (4 * i)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def unpack_tiles(words):
    """The inverse for inner_k_tiles 8: int32 [.., 32, 4] to codes [N, K]."""
    tiles, supers = words.shape[:2]
    codes = torch.zeros(tiles, 8, supers, 128, dtype=torch.int64)
    lane = torch.arange(32)
    wide = words.to(torch.int64) & 0xFFFFFFFF
    for j in range(4):
        for i, column in enumerate(NIBBLE_COLUMNS):
            nibble = (wide[:, :, :, j] >> (4 * i)) & 0xF
            columns = 32 * j + 2 * (lane % 4) + column
            codes[:, lane // 4, :, columns] = nibble.permute(2, 0, 1)
    return codes.view(tiles * 8, supers * 128)


def int4_asymmetric(w, group):
    """Codes -8..7 [N, K], float32 scale and zero [N, G]: bf16 activations."""
    x = w.float().view(w.shape[0], -1, group)
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    scale = (high - low).clamp(min=1e-6) / 15
    codes = ((x - low) / scale).round().clamp(0, 15) - 8
    return codes.view(w.shape).to(torch.int8), scale[..., 0], (low + scale * 8)[..., 0]


def int4_symmetric(w, group):
    """The same for float8 activations: no zero point."""
    x = w.float().view(w.shape[0], -1, group)
    scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-6) / 8
    codes = (x / scale).round().clamp(-8, 7)
    zero = torch.zeros_like(scale)
    return codes.view(w.shape).to(torch.int8), scale[..., 0], zero[..., 0]


def pack_low_first(codes):
    """Even column in the low nibble, odd column in the high one."""
    return (codes[:, ::2] & 0xF) | (codes[:, 1::2] << 4)


def fused(codes, scale, zero, dtype):
    """codes * scale + zero rounded once to dtype; all given as float64."""
    exact = codes.double() * scale.double() + zero.double()
    if dtype == torch.float32:
        return exact.float()
    # float64 to a 16-bit type goes through float32 in torch: make that step
    # harmless by rounding to odd (truncate, then set the last bit).
    near = exact.float()
    bits = near.view(torch.int32)
    wrong_way = near.double().abs() > exact.abs()
    bits = torch.where(wrong_way, bits - 1, bits)
    inexact = near.double() != exact
    return torch.where(inexact, bits | 1, bits).view(torch.float32).to(dtype)
