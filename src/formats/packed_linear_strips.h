#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <mantissa/formats/packed_linear.h>

namespace mantissa {

/// Strips of one table, of which `rows` rows are rows of the weight: 8 each, or
/// fewer in one strip.
struct StripRun {
  std::int64_t first = 0;  ///< strip
  std::int64_t strips = 0;
  std::int64_t rows = 0;
};

/// Bytes of a strip (kernels/pack_universal_args.h).
std::int64_t strip_bytes(const PackedLinear& w);

/// Packs a run behind the header of `packed`; false when a code is out of
/// range.
bool pack_strip_run(const PackedLinear& w,
                    const PackedLinearInput& input,
                    const StripRun& run,
                    std::span<std::byte> packed);

/// Unpacks a run. Throws Error(Input) that names the rule which it breaks.
void unpack_strip_run(const PackedLinear& w,
                      std::span<const std::byte> packed,
                      const StripRun& run,
                      const PackedLinearOutput& output);

/// Unpacks the tables of all strips. Throws Error(Input) when strips of one
/// table differ, or what follows its entries is not 0.
void unpack_tables(const PackedLinear& w,
                   std::span<const std::byte> packed,
                   TensorView lut);

}  // namespace mantissa
