#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <mantissa/primitives/float8.h>
#include <mantissa/primitives/float_casts.h>

#include "kernels/convert.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kChunk = 256;  // elements between two loops, in L1

// Code `index` of a stream of `width`-bit codes, lowest bits first.
std::uint8_t load_code(const std::byte* data, std::int64_t index, int width) {
  const std::int64_t bit = index * width;
  const auto* byte = reinterpret_cast<const std::uint8_t*>(data) + bit / 8;
  const int shift = static_cast<int>(bit % 8);
  std::uint32_t bits = byte[0];
  if (shift + width > 8) bits |= static_cast<std::uint32_t>(byte[1]) << 8;
  return static_cast<std::uint8_t>((bits >> shift) & ((1u << width) - 1u));
}

void store_code(std::byte* data,
                std::int64_t index,
                int width,
                std::uint8_t code) {
  const std::int64_t bit = index * width;
  auto* byte = reinterpret_cast<std::uint8_t*>(data) + bit / 8;
  const int shift = static_cast<int>(bit % 8);
  const std::uint32_t mask = ((1u << width) - 1u) << shift;
  const std::uint32_t bits = static_cast<std::uint32_t>(code) << shift;
  byte[0] = static_cast<std::uint8_t>((byte[0] & ~mask) | bits);
  if (shift + width > 8) {
    byte[1] = static_cast<std::uint8_t>((byte[1] & ~(mask >> 8)) | (bits >> 8));
  }
}

// Element `index` of a dense array at any alignment.
template <class T>
T load_bits(const std::byte* from, std::int64_t index) {
  T value;
  std::memcpy(
      &value, from + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <class T, class Out>
void load_numbers(const std::byte* from,
                  std::int64_t begin,
                  std::int64_t count,
                  Out* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<Out>(load_bits<T>(from, begin + i));
  }
}

template <int kWidth, class Out, class Decode>
void load_codes(const std::byte* from,
                std::int64_t begin,
                std::int64_t count,
                Out* out,
                const Decode& decode) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<Out>(decode(load_code(from, begin + i, kWidth)));
  }
}

template <class Out, class Decode>
void load_halves(const std::byte* from,
                 std::int64_t begin,
                 std::int64_t count,
                 Out* out,
                 const Decode& decode) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] =
        static_cast<Out>(decode(load_bits<std::uint16_t>(from, begin + i)));
  }
}

// Whole numbers [begin, begin + count) as float or double; false: the dtype is
// none.
template <class Out>
bool load_integers(DType dtype,
                   const std::byte* from,
                   std::int64_t begin,
                   std::int64_t count,
                   Out* out) {
  const auto numbers = [&]<class T>() {
    load_numbers<T>(from, begin, count, out);
    return true;
  };
  switch (dtype) {
    case DType::UInt64:
      return numbers.template operator()<std::uint64_t>();
    case DType::Int64:
      return numbers.template operator()<std::int64_t>();
    case DType::UInt32:
      return numbers.template operator()<std::uint32_t>();
    case DType::Int32:
      return numbers.template operator()<std::int32_t>();
    case DType::UInt16:
      return numbers.template operator()<std::uint16_t>();
    case DType::Int16:
      return numbers.template operator()<std::int16_t>();
    case DType::Int8:
      return numbers.template operator()<std::int8_t>();
    case DType::UInt8:
      return numbers.template operator()<std::uint8_t>();
    case DType::Bool:
      load_codes<8>(from, begin, count, out, [](std::uint8_t byte) {
        return byte != 0 ? 1.0f : 0.0f;
      });
      return true;
    default:
      return false;
  }
}

// Calls `use<Format>()` for the small float format of a dtype; false: none.
template <class Use>
bool dispatch_mini(DType dtype, const Use& use) {
  switch (dtype) {
    case DType::Float6E3M2:
      use.template operator()<Float6E3M2>();
      return true;
    case DType::Float6E2M3:
      use.template operator()<Float6E2M3>();
      return true;
    case DType::Float4E2M1:
      use.template operator()<Float4E2M1>();
      return true;
    default:
      return dispatch_float8(dtype, use);
  }
}

// Elements [begin, begin + count) as float or double; false: no such dtype.
template <class Out>
bool load(DType dtype,
          const std::byte* from,
          std::int64_t begin,
          std::int64_t count,
          Out* out) {
  const auto numbers = [&]<class T>() {
    load_numbers<T>(from, begin, count, out);
    return true;
  };
  const auto mini = [&]<class Format>() {
    load_codes<Format::kBits>(from, begin, count, out, Format::decode);
  };
  switch (dtype) {
    case DType::Float64:
      return numbers.template operator()<double>();
    case DType::Float32:
      return numbers.template operator()<float>();
    case DType::BFloat16:
      load_halves(from, begin, count, out, bfloat16_to_float);
      return true;
    case DType::Float16:
      load_halves(from, begin, count, out, float16_to_float);
      return true;
    case DType::Float8E8M0FNU:
      load_codes<8>(from, begin, count, out, float8_e8m0_to_float);
      return true;
    default:
      return dispatch_mini(dtype, mini) ||
             load_integers(dtype, from, begin, count, out);
  }
}

template <class Bits, class Encode>
void store_words(const float* in,
                 std::int64_t begin,
                 std::int64_t count,
                 std::byte* to,
                 const Encode& encode) {
  Bits* out = reinterpret_cast<Bits*>(to) + begin;
  for (std::int64_t i = 0; i < count; ++i) out[i] = encode(in[i]);
}

template <class Format>
void store_packed(const float* in,
                  std::int64_t begin,
                  std::int64_t count,
                  std::byte* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    store_code(to, begin + i, Format::kBits, Format::encode(in[i]));
  }
}

// Floats as elements [begin, begin + count); false: no such dtype.
bool store(DType dtype,
           const float* in,
           std::int64_t begin,
           std::int64_t count,
           std::byte* to) {
  const auto words = [&]<class Bits>(const auto& encode) {
    store_words<Bits>(in, begin, count, to, encode);
    return true;
  };
  const auto mini = [&]<class Format>() {
    if constexpr (Format::kBits == 8) {
      store_words<std::uint8_t>(in, begin, count, to, Format::encode);
    } else {
      store_packed<Format>(in, begin, count, to);
    }
  };
  switch (dtype) {
    case DType::Float32:
      return words.template operator()<float>([](float v) { return v; });
    case DType::BFloat16:
      return words.template operator()<std::uint16_t>(float_to_bfloat16);
    case DType::Float16:
      return words.template operator()<std::uint16_t>(float_to_float16);
    case DType::Float8E8M0FNU:
      return words.template operator()<std::uint8_t>(float_to_float8_e8m0);
    default:
      return dispatch_mini(dtype, mini);
  }
}

}  // namespace

bool can_convert_from(DType dtype) {
  return load<float>(dtype, nullptr, 0, 0, nullptr);
}

bool can_convert_to(DType dtype) {
  return dtype == DType::Float64 || store(dtype, nullptr, 0, 0, nullptr);
}

void run_convert_ref(const ConvertProblem& problem, const ConvertArgs& args) {
  if (problem.to == DType::Float64) {
    load(problem.from,
         args.from,
         0,
         args.count,
         reinterpret_cast<double*>(args.to));
    return;
  }
  std::array<float, kChunk> chunk;
  for (std::int64_t i = 0; i < args.count; i += kChunk) {
    const std::int64_t count = std::min(kChunk, args.count - i);
    load(problem.from, args.from, i, count, chunk.data());
    store(problem.to, chunk.data(), i, count, args.to);
  }
}

std::int64_t run_find_nonfinite_ref(const FindNonfiniteProblem& problem,
                                    const FindNonfiniteArgs& args) {
  if (problem.dtype == DType::Float64) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(args.data);
    for (std::int64_t i = 0; i < args.count; ++i) {
      if ((words[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u) return i;
    }
    return args.count;
  }
  std::array<float, kChunk> chunk;
  for (std::int64_t i = 0; i < args.count; i += kChunk) {
    const std::int64_t count = std::min(kChunk, args.count - i);
    load(problem.dtype, args.data, i, count, chunk.data());
    for (std::int64_t j = 0; j < count; ++j) {
      const auto bits =
          std::bit_cast<std::uint32_t>(chunk[static_cast<std::size_t>(j)]);
      if ((bits & 0x7f800000u) == 0x7f800000u) return i + j;
    }
  }
  return args.count;
}

}  // namespace mantissa::kernels
