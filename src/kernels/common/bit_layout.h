#pragma once

namespace mantissa::kernels {

// Instruction-set files include this: functions are static.
//
// torchao's packing of 1 to 8 bit codes in blocks of 32, 64 or 128, said once.
//
// Codes are packed in cells of a few codes that fill whole bytes. Where the
// bits of a cell go depends on the width alone (cell_bit); where its codes and
// bytes stand depends on the block too (code_index, byte_index):
//
//   bits         1  2  3  4  5  6  7  8
//   cell_codes   8  4  8  2  8  4  8  1
//   cell_bytes   1  1  3  1  5  3  7  1
//
// In most layouts the codes of a cell are a row apart, and so are its bytes:
//
//   bits 3, block 128    row 0  c c c c ... c    16 codes, one of each cell
//                        ...
//                        row 7  c c c c ... c
//                   bytes row 0  b b b b ... b   16 bytes, one of each cell
//                        ...
//                        row 2  b b b b ... b

/// Codes that share bytes.
static constexpr int cell_codes(int bits) {
  return bits % 2 == 1 ? 8 : bits == 8 ? 1 : bits == 4 ? 2 : 4;
}

static constexpr int cell_bytes(int bits) {
  return cell_codes(bits) * bits / 8;
}

/// A bit of one of the codes of a cell.
struct CellBit {
  int code;
  int bit;
};

/// What stands at bit `bit` (0 the lowest) of byte `byte` of a cell.
static constexpr CellBit cell_bit(int bits, int byte, int bit) {
  switch (bits) {
    case 1:
      return {7 - bit, 0};
    case 2:
      return {3 - bit / 2, bit % 2};
    case 3:  // | 6 6 0 0 0 1 1 1 | 7 7 2 2 2 3 3 3 | 6 7 4 4 4 5 5 5 |
      if (bit < 6) return {2 * byte + (bit < 3 ? 1 : 0), bit % 3};
      if (byte < 2) return {6 + byte, bit - 6};
      return {bit == 7 ? 6 : 7, 2};
    case 4:
      return {bit / 4, bit % 4};
    case 5:  // four of | odd's low 3, even's 5 |, then the odd ones' high 2
      if (byte == 4) return {2 * (bit / 2) + 1, 3 + bit % 2};
      return bit < 5 ? CellBit{2 * byte, bit} : CellBit{2 * byte + 1, bit - 5};
    case 6:  // code 3 in the top bits of the others
      return bit < 6 ? CellBit{byte, bit} : CellBit{3, 2 * byte + bit - 6};
    case 7:  // code 7 in the top bits of the others
      return bit < 7 ? CellBit{byte, bit} : CellBit{7, byte};
    default:
      return {0, bit};
  }
}

/// Codes of the largest block that is not itself a run of smaller ones.
static constexpr int unit_codes(int bits, int block) {
  if (bits % 2 == 1) return block;
  if (bits == 8) return 1;
  return bits == 4 || block == 32 ? 32 : 64;
}

/// Where code `code` of cell `cell` stands in its unit.
static constexpr int code_index(int bits, int unit, int cell, int code) {
  const bool odd = bits % 2 == 1;
  if (odd && unit == 32) return 8 * cell + code;
  if (bits == 1 && unit == 64) {
    return (code < 4 ? 16 * code + 8 : 16 * (code - 4)) + cell;
  }
  if (bits == 5 && unit == 64) {
    return 16 * (2 * (code / 4) + code % 2) + 8 * (code / 2 % 2) + cell;
  }
  return unit / cell_codes(bits) * code + cell;
}

/// Where byte `byte` of cell `cell` stands in its unit.
static constexpr int byte_index(int bits, int unit, int cell, int byte) {
  if (bits % 2 == 1 && unit == 32) return cell_bytes(bits) * cell + byte;
  return unit / cell_codes(bits) * byte + cell;
}

}  // namespace mantissa::kernels
