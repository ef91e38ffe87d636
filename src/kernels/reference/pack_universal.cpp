#include <cstring>

#include "kernels/pack_bits.h"
#include "kernels/pack_universal.h"
#include "kernels/reference/pack_block.h"

namespace mantissa::kernels {
namespace {

constexpr int kBlockCodes = 128;
constexpr int kBlockColumns = kBlockCodes / kStripRows;
constexpr int kLutBytes = 16;

// Calls f(index in the block, row, column) for every code of a block.
template <class F>
void for_each_code(const F& f) {
  for (int i = 0; i < kBlockCodes; ++i) {
    f(i, i / 8 % kStripRows, i / 64 * 8 + i % 8);
  }
}

template <class T>
void put(std::uint8_t*& out, const T& value) {
  std::memcpy(out, &value, sizeof(value));
  out += sizeof(value);
}

template <class T>
T take(const std::uint8_t*& in) {
  T value;
  std::memcpy(&value, in, sizeof(value));
  in += sizeof(value);
  return value;
}

// The value that a stored code stands for in the sums.
int value_of(int bits, const std::int8_t* lut, std::uint8_t stored) {
  if (lut != nullptr) return lut[stored];
  if (bits == 8) return static_cast<std::int8_t>(stored);
  return stored - stored_offset(bits, true);
}

// The codes of a group, from row `row` and column `column` on.
std::uint8_t* pack_group(const PackUniversalProblem& problem,
                         const PackUniversalArgs& args,
                         const std::int8_t* codes,
                         std::int32_t* sum,
                         std::uint8_t* out) {
  const int bits = problem.bits;
  const int offset = stored_offset(bits, !problem.lut);
  std::uint8_t stored[kBlockCodes];
  for (std::int64_t k = 0; k < args.group; k += kBlockColumns) {
    for_each_code([&](int i, int row, int column) {
      stored[i] =
          static_cast<std::uint8_t>(codes[row * args.k + k + column] + offset);
      sum[row] += value_of(bits, args.lut, stored[i]);
    });
    pack_block(bits, kBlockCodes, stored, out);
    out += kBlockCodes * bits / 8;
  }
  return out;
}

const std::uint8_t* unpack_group(const PackUniversalProblem& problem,
                                 const UnpackUniversalArgs& args,
                                 const std::int8_t* lut,
                                 std::int8_t* codes,
                                 std::int32_t* sum,
                                 const std::uint8_t* in) {
  const int bits = problem.bits;
  const int offset = stored_offset(bits, !problem.lut);
  std::uint8_t stored[kBlockCodes];
  for (std::int64_t k = 0; k < args.group; k += kBlockColumns) {
    unpack_block(bits, kBlockCodes, in, stored);
    in += kBlockCodes * bits / 8;
    for_each_code([&](int i, int row, int column) {
      codes[row * args.k + k + column] =
          static_cast<std::int8_t>(stored[i] - offset);
      sum[row] += value_of(bits, lut, stored[i]);
    });
  }
  return in;
}

}  // namespace

bool run_pack_universal_ref(const PackUniversalProblem& problem,
                            const PackUniversalArgs& args) {
  const CodeRange range = problem.lut ? CodeRange::Index : CodeRange::Signed;
  const std::int64_t rows = kStripRows * args.strips;
  if (first_out_of_range(problem.bits, range, args.codes, rows * args.k) >= 0) {
    return false;
  }
  const std::int64_t groups = args.k / args.group;
  std::uint8_t* out = args.packed;
  for (std::int64_t row = 0; row < rows; row += kStripRows) {
    if (problem.lut) {
      std::memcpy(out, args.lut, kLutBytes);
      out += kLutBytes;
    }
    for (std::int64_t g = 0; g < groups; ++g) {
      std::int32_t sum[kStripRows] = {};
      const std::int8_t* codes = args.codes + row * args.k + g * args.group;
      out = pack_group(problem, args, codes, sum, out);
      const std::int64_t at = row * groups + g;
      for (int r = 0; r < kStripRows; ++r)
        put(out, args.scale[at + r * groups]);
      for (int r = 0; r < kStripRows; ++r) put(out, sum[r]);
      for (int r = 0; args.zero_point != nullptr && r < kStripRows; ++r) {
        put(out, std::int32_t{args.zero_point[at + r * groups]});
      }
    }
    for (int r = 0; args.bias != nullptr && r < kStripRows; ++r) {
      put(out, args.bias[row + r]);
    }
  }
  return true;
}

bool run_unpack_universal_ref(const PackUniversalProblem& problem,
                              const UnpackUniversalArgs& args) {
  const std::int64_t rows = kStripRows * args.strips;
  const std::int64_t groups = args.k / args.group;
  const std::uint8_t* in = args.packed;
  bool sound = true;
  for (std::int64_t row = 0; row < rows; row += kStripRows) {
    std::int8_t lut[kLutBytes];
    if (problem.lut) {
      std::memcpy(lut, in, kLutBytes);
      in += kLutBytes;
    }
    for (std::int64_t g = 0; g < groups; ++g) {
      std::int32_t sum[kStripRows] = {};
      in = unpack_group(problem,
                        args,
                        problem.lut ? lut : nullptr,
                        args.codes + row * args.k + g * args.group,
                        sum,
                        in);
      const std::int64_t at = row * groups + g;
      for (int r = 0; r < kStripRows; ++r) {
        args.scale[at + r * groups] = take<float>(in);
      }
      for (int r = 0; r < kStripRows; ++r) {
        sound &= sum[r] == take<std::int32_t>(in);
      }
      for (int r = 0; args.zero_point != nullptr && r < kStripRows; ++r) {
        const auto zero = take<std::int32_t>(in);
        args.zero_point[at + r * groups] = static_cast<std::int8_t>(zero);
        sound &= zero == static_cast<std::int8_t>(zero);
      }
    }
    for (int r = 0; args.bias != nullptr && r < kStripRows; ++r) {
      args.bias[row + r] = take<float>(in);
    }
  }
  return sound;
}

}  // namespace mantissa::kernels
