// Seeds of packed weights: one of each type, and every rule broken once.
#include <cstring>
#include <utility>

#include <mantissa/formats/packed_embedding.h>
#include <mantissa/formats/packed_groupwise_lut.h>
#include <mantissa/formats/packed_linear.h>

#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

// n, k, group_size and tables, as the target reads them.
std::string sizes(std::int64_t n,
                  std::int64_t k,
                  std::int64_t group_size,
                  std::int64_t luts) {
  const std::int64_t all[] = {n, k, group_size, luts};
  return {reinterpret_cast<const char*>(all), sizeof(all)};
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string linear(PackedLinear w) {
  const Shape groups = {w.n, w.k / w.group_size};
  const HostTensor codes(DType::Int8, {w.n, w.k});
  const HostTensor scale(DType::Float32, groups);
  const HostTensor zeros(DType::Int8, groups);
  const HostTensor bias(DType::Float32, {w.n});
  const HostTensor lut(DType::Int8, {w.luts, std::int64_t{1} << w.bits});
  PackedLinearInput in{codes.view(), scale.view()};
  if (w.has_zero_point) in.zero_point = zeros.view();
  if (w.has_bias) in.bias = bias.view();
  if (w.luts > 0) in.lut = lut.view();
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
  pack_linear(w, in, packed);
  return sizes(w.n, w.k, w.group_size, w.luts) + text_of(packed);
}

std::string embedding(PackedEmbedding e) {
  const HostTensor codes(DType::Int8, {e.rows, e.columns});
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(e)));
  pack_embedding(e, codes.view(), packed);
  return sizes(e.rows, e.columns, 0, 0) + text_of(packed);
}

std::string groupwise(PackedGroupwiseLut w) {
  const HostTensor indices(DType::UInt8, {w.n, w.k});
  const HostTensor lut(DType::Float32,
                       {lut_count(w), std::int64_t{1} << w.bits});
  const HostTensor scale(DType::Float32, {w.n, w.k / w.scale_group_size});
  const HostTensor bias(DType::Float32, {w.n});
  PackedGroupwiseLutInput in{indices.view(), lut.view()};
  if (w.has_scale) in.scale = scale.view();
  if (w.has_bias) in.bias = bias.view();
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
  pack_groupwise_lut(w, in, packed);
  return sizes(w.n, w.k, 0, 0) + text_of(packed);
}

std::string with_word(std::string seed, std::size_t at, std::int32_t value) {
  std::memcpy(seed.data() + at, &value, 4);
  return seed;
}

}  // namespace

std::vector<Seed> packed_weights_seeds() {
  std::vector<Seed> out;
  const auto accept = [&](std::string name, std::string bytes) {
    out.push_back({std::move(name), std::move(bytes), Outcome::Accepted});
  };
  const auto refuse = [&](std::string name, std::string bytes) {
    out.push_back({std::move(name), std::move(bytes)});
  };
  for (int bits = 1; bits <= 8; ++bits) {
    const std::string width = std::to_string(bits);
    accept("linear_" + width, linear({9, 48, 16, bits, bits % 2 == 1, true}));
    accept("embedding_" + width, embedding({2, 224, bits}));
  }
  for (int bits = 1; bits <= 4; ++bits) {
    const std::string width = std::to_string(bits);
    accept("tables_" + width, linear({16, 32, 32, bits, false, true, 2}));
    accept("groupwise_" + width,
           groupwise({6, 64, 32, 256, bits, bits % 2 == 0, true}));
  }
  const std::string good = linear({9, 48, 16, 4, true, true});
  constexpr std::size_t kHeader = 32;
  const std::pair<const char*, std::pair<int, std::int32_t>> kHeaders[] = {
      {"magic", {0, 0}},
      {"type_unknown", {1, 0}},
      {"type_negative", {1, -1}},
      {"type_kleidiai", {1, 3}},
      {"bits_none", {2, 0}},
      {"bits_many", {2, INT32_MAX}},
      {"zeros_flag", {3, 2}},
      {"bias_flag", {4, -1}},
      {"nr", {5, 4}},
      {"kr", {6, 0}},
      {"sr", {7, 8}},
      {"unused", {15, 1}}};
  for (const auto& [name, change] : kHeaders) {
    const std::size_t at = kHeader + 4 * static_cast<std::size_t>(change.first);
    refuse(name, with_word(good, at, change.second));
  }
  const std::string body = good.substr(kHeader);
  refuse("rows_overflow", sizes(INT64_MAX, 48, 16, 0) + body);
  refuse("columns_overflow", sizes(9, INT64_MAX / 16 * 16, 16, 0) + body);
  refuse("rows_negative", sizes(-9, 48, 16, 0) + body);
  refuse("group_none", sizes(9, 48, 0, 0) + body);
  refuse("group_divides_not", sizes(9, 48, 32, 0) + body);
  refuse("tables_negative", sizes(9, 48, 16, -1) + body);
  refuse("tables_without", sizes(9, 48, 16, 1) + body);
  refuse("too_long", good + '\0');
  // Sums of the first group: behind its codes and scales.
  const std::size_t sums = kHeader + 64 + 64 + 32;
  refuse("sum", with_word(good, sums, 77));
  refuse("zero_point", with_word(good, sums + 32, 1000));
  refuse("padding", with_word(good, good.size() - 4, 1));
  refuse("embedding_version", with_word(embedding({2, 32, 4}), 40, 2));
  const std::string tables = groupwise({6, 64, 32, 256, 2, true, true});
  refuse("scale_group", with_word(tables, 44, 0));
  refuse("lut_group", with_word(tables, 48, INT32_MAX));
  refuse("table_tail", with_word(tables, kHeader + 64 + 60, 1));
  return out;
}

}  // namespace mantissa::fuzz
