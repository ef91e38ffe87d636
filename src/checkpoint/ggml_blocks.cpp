#include "checkpoint/ggml_blocks.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/ggml_decode.h"

namespace mantissa {
namespace {

constexpr GgmlTypeInfo kTypes[] = {
    {GgmlType::F32, "F32", 1, 4, ggml::decode_f32},
    {GgmlType::F16, "F16", 1, 2, ggml::decode_f16},
    {GgmlType::Q4_0, "Q4_0", 32, 18, ggml::decode_q4_0},
    {GgmlType::Q4_1, "Q4_1", 32, 20, ggml::decode_q4_1},
    {GgmlType::Q5_0, "Q5_0", 32, 22, ggml::decode_q5_0},
    {GgmlType::Q5_1, "Q5_1", 32, 24, ggml::decode_q5_1},
    {GgmlType::Q8_0, "Q8_0", 32, 34, ggml::decode_q8_0},
    {GgmlType::Q2_K, "Q2_K", 256, 84, ggml::decode_q2_k},
    {GgmlType::Q3_K, "Q3_K", 256, 110, ggml::decode_q3_k},
    {GgmlType::Q4_K, "Q4_K", 256, 144, ggml::decode_q4_k},
    {GgmlType::Q5_K, "Q5_K", 256, 176, ggml::decode_q5_k},
    {GgmlType::Q6_K, "Q6_K", 256, 210, ggml::decode_q6_k},
    {GgmlType::BF16, "BF16", 1, 2, ggml::decode_bf16},
};

// ggml's numbering; empty where a number was given up.
constexpr std::string_view kNames[] = {
    "F32",   "F16",   "Q4_0",    "Q4_1",   "",        "",      "Q5_0",
    "Q5_1",  "Q8_0",  "Q8_1",    "Q2_K",   "Q3_K",    "Q4_K",  "Q5_K",
    "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL",
    "IQ3_S", "IQ2_S", "IQ4_XS",  "I8",     "I16",     "I32",   "I64",
    "F64",   "IQ1_M", "BF16",    "",       "",        "",      "TQ1_0",
    "TQ2_0", "",      "",        "",       "MXFP4",
};

// Values decoded at a time: they stay in the first-level cache.
constexpr std::int64_t kChunk = 1024;

template <class Store>
void convert_chunks(const GgmlTypeInfo& type,
                    const std::byte* in,
                    std::int64_t blocks,
                    const Store& store) {
  const std::int64_t step = kChunk / type.block_size;
  float values[kChunk];
  for (std::int64_t done = 0; done < blocks; done += step) {
    const std::int64_t count = std::min(step, blocks - done);
    type.decode(in + done * type.block_bytes, count, values);
    store(values, done * type.block_size, count * type.block_size);
  }
}

template <class Round>
void store_halves(const float* values,
                  std::int64_t count,
                  std::byte* out,
                  const Round& round) {
  std::uint16_t bits[kChunk];
  for (std::int64_t i = 0; i < count; ++i) bits[i] = round(values[i]);
  std::memcpy(out, bits, static_cast<std::size_t>(count) * 2);
}

}  // namespace

std::span<const GgmlTypeInfo> ggml_types() { return kTypes; }

const GgmlTypeInfo* find_ggml_type(std::uint32_t type) {
  for (const GgmlTypeInfo& row : kTypes) {
    if (static_cast<std::uint32_t>(row.type) == type) return &row;
  }
  return nullptr;
}

std::string_view ggml_type_name(std::uint32_t type) {
  return type < std::size(kNames) ? kNames[type] : std::string_view();
}

std::string readable_ggml_types() {
  std::string names;
  for (const GgmlTypeInfo& row : kTypes) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

bool is_quantized(const GgmlTypeInfo& type) { return type.block_size > 1; }

DType plain_dtype(const GgmlTypeInfo& type) {
  switch (type.type) {
    case GgmlType::F16:
      return DType::Float16;
    case GgmlType::BF16:
      return DType::BFloat16;
    default:
      return DType::Float32;
  }
}

void convert_blocks(const GgmlTypeInfo& type,
                    const std::byte* in,
                    std::int64_t blocks,
                    DType dtype,
                    std::byte* out) {
  if (!is_quantized(type) && plain_dtype(type) == dtype) {
    std::memcpy(out, in, static_cast<std::size_t>(blocks * type.block_bytes));
    return;
  }
  convert_chunks(
      type,
      in,
      blocks,
      [&](const float* values, std::int64_t at, std::int64_t count) {
        if (dtype == DType::Float32) {
          std::memcpy(
              out + at * 4, values, static_cast<std::size_t>(count) * 4);
        } else if (dtype == DType::BFloat16) {
          store_halves(values, count, out + at * 2, float_to_bfloat16);
        } else {
          store_halves(values, count, out + at * 2, float_to_float16);
        }
      });
}

}  // namespace mantissa
