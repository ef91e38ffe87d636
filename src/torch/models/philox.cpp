#include "torch/models/philox.h"

#include <mantissa/torch/sampling.h>

namespace mantissa {
namespace {

// Multipliers and Weyl increments of the paper.
constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
constexpr std::uint32_t kIncrement0 = 0x9E3779B9;
constexpr std::uint32_t kIncrement1 = 0xBB67AE85;
constexpr int kRounds = 10;

std::uint32_t low(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t a = kMultiplier0 * counter[0];
    const std::uint64_t b = kMultiplier1 * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0],
               low(b),
               high(a) ^ counter[3] ^ key[1],
               low(a)};
    key[0] += kIncrement0;
    key[1] += kIncrement1;
  }
  return counter;
}

double philox_uniform(std::uint64_t key, std::uint64_t counter) {
  const auto bits =
      philox({low(counter), high(counter), 0, 0}, {low(key), high(key)});
  // 27 and 26 bits make the 53 of a double.
  const std::uint64_t wide =
      (std::uint64_t{bits[0] >> 5} << 26) | (bits[1] >> 6);
  return static_cast<double>(wide) * 0x1p-53;
}

}  // namespace mantissa
