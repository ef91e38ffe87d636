#pragma once

// Inputs of the packing tests.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/caps.h"
#include "kernels/pack_bits_args.h"

namespace mantissa::kernels {

/// The rows of a table that run here; says once why another does not.
template <class Kernel, class Problem>
std::vector<Kernel> usable(std::span<const Kernel> table,
                           const Problem& problem) {
  static std::vector<std::string> told;
  std::vector<Kernel> out;
  for (const Kernel& kernel : table) {
    const char* reason = kernel.refuses(problem, host_caps());
    if (reason == nullptr) {
      out.push_back(kernel);
    } else if (std::ranges::find(told, kernel.name) == told.end()) {
      told.emplace_back(kernel.name);
      std::cout << "not tested: " << kernel.name << " " << reason << "\n";
    }
  }
  return out;
}

/// (37 i + 11 + (i >> 3)) mod 2^bits, as signed codes or as it is.
inline std::vector<std::int8_t> ramp_codes(int bits,
                                           std::int64_t count,
                                           bool is_signed) {
  std::vector<std::int8_t> out(static_cast<std::size_t>(count));
  const int offset = is_signed && bits < 8 ? 1 << (bits - 1) : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto v = static_cast<int>(37 * i + 11 + (i >> 3)) & ((1 << bits) - 1);
    out[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(v - offset);
  }
  return out;
}

/// Codes that are in range, as bytes.
inline std::vector<std::uint8_t> random_codes(int bits,
                                              CodeRange range,
                                              std::int64_t count,
                                              unsigned seed) {
  std::mt19937 random(seed);
  const unsigned offset = range == CodeRange::Signed ? 1U << (bits - 1) : 0U;
  std::vector<std::uint8_t> out(static_cast<std::size_t>(count));
  for (std::uint8_t& code : out) {
    code = static_cast<std::uint8_t>((random() & ((1U << bits) - 1)) - offset);
  }
  return out;
}

/// Bytes `shift` behind an address that is a multiple of 64, with a margin on
/// both sides that nothing may touch.
class Guarded {
 public:
  Guarded(std::size_t size, std::size_t shift)
      : memory_(size + shift + 2 * kMargin + 64, kMark), size_(size) {
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
    begin_ = (start + kMargin + 63) / 64 * 64 - start + shift;
  }
  Guarded(const std::vector<std::uint8_t>& bytes, std::size_t shift)
      : Guarded(bytes.size(), shift) {
    std::ranges::copy(bytes, memory_.begin() + at());
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <class T>
  T* as() {
    return reinterpret_cast<T*>(memory_.data() + begin_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(memory_.data() + begin_);
  }
  std::vector<std::uint8_t> bytes() const {
    return {memory_.begin() + at(), memory_.begin() + at() + size()};
  }
  /// These bytes and untouched margins.
  bool holds(const std::vector<std::uint8_t>& want) const {
    const auto marked = [](std::uint8_t byte) { return byte == kMark; };
    return bytes() == want &&
           std::all_of(memory_.begin(), memory_.begin() + at(), marked) &&
           std::all_of(memory_.begin() + at() + size(), memory_.end(), marked);
  }

 private:
  static constexpr std::size_t kMargin = 64;
  static constexpr std::uint8_t kMark = 0xa5;

  std::ptrdiff_t at() const { return static_cast<std::ptrdiff_t>(begin_); }
  std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(size_); }

  std::vector<std::uint8_t> memory_;
  std::size_t size_;
  std::size_t begin_ = 0;
};

/// CRC-32 of IEEE 802.3 (reflected, polynomial 0xEDB88320).
inline std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~0U;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    }
  }
  return ~crc;
}

inline std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

}  // namespace mantissa::kernels
