#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/formats/packed_embedding.h>
#include <mantissa/formats/packed_groupwise_lut.h>
#include <mantissa/formats/packed_linear.h>
#include <mantissa/formats/packed_weights_type.h>

#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

// What a caller must know beside the packed object.
struct Sizes {
  std::int64_t n;
  std::int64_t k;
  std::int64_t group_size;
  std::int64_t luts;
};

using Bytes = std::span<const std::byte>;

HostTensor make(DType dtype, const Shape& shape) { return {dtype, shape}; }

void expect_same(const std::vector<std::byte>& again, Bytes packed) {
  expect(again.size() == packed.size() &&
             std::memcmp(again.data(), packed.data(), packed.size()) == 0,
         "what was unpacked packs to the same bytes");
}

void use_linear(Bytes packed, const Sizes& sizes) {
  const PackedLinear w = read_packed_linear(
      packed, sizes.n, sizes.k, sizes.group_size, sizes.luts);
  const Shape groups = {w.n, w.k / w.group_size};
  HostTensor codes = make(DType::Int8, {w.n, w.k});
  HostTensor scale = make(DType::Float32, groups);
  HostTensor zeros = make(DType::Int8, groups);
  HostTensor bias = make(DType::Float32, {w.n});
  HostTensor lut = make(DType::Int8, {w.luts, std::int64_t{1} << w.bits});
  PackedLinearOutput out{codes.mutable_view(), scale.mutable_view()};
  PackedLinearInput in{codes.view(), scale.view()};
  if (w.has_zero_point) {
    out.zero_point = zeros.mutable_view();
    in.zero_point = zeros.view();
  }
  if (w.has_bias) {
    out.bias = bias.mutable_view();
    in.bias = bias.view();
  }
  if (w.luts > 0) {
    out.lut = lut.mutable_view();
    in.lut = lut.view();
  }
  unpack_linear(w, packed, out);
  std::vector<std::byte> again(packed.size());
  pack_linear(w, in, again);
  expect_same(again, packed);
}

void use_embedding(Bytes packed, const Sizes& sizes) {
  const PackedEmbedding e = read_packed_embedding(packed, sizes.n, sizes.k);
  HostTensor codes = make(DType::Int8, {e.rows, e.columns});
  unpack_embedding(e, packed, codes.mutable_view());
  std::vector<std::byte> again(packed.size());
  pack_embedding(e, codes.view(), again);
  expect_same(again, packed);
}

void use_groupwise(Bytes packed, const Sizes& sizes) {
  const PackedGroupwiseLut w =
      read_packed_groupwise_lut(packed, sizes.n, sizes.k);
  HostTensor indices = make(DType::UInt8, {w.n, w.k});
  HostTensor lut =
      make(DType::Float32, {lut_count(w), std::int64_t{1} << w.bits});
  HostTensor scale = make(DType::Float32, {w.n, w.k / w.scale_group_size});
  HostTensor bias = make(DType::Float32, {w.n});
  PackedGroupwiseLutOutput out{indices.mutable_view(), lut.mutable_view()};
  PackedGroupwiseLutInput in{indices.view(), lut.view()};
  if (w.has_scale) {
    out.scale = scale.mutable_view();
    in.scale = scale.view();
  }
  if (w.has_bias) {
    out.bias = bias.mutable_view();
    in.bias = bias.view();
  }
  unpack_groupwise_lut(w, packed, out);
  std::vector<std::byte> again(packed.size());
  pack_groupwise_lut(w, in, again);
  expect_same(again, packed);
}

}  // namespace

Outcome packed_weights(std::string_view input) {
  Sizes sizes{};
  if (input.size() < sizeof(sizes)) return Outcome::Refused;
  std::memcpy(&sizes, input.data(), sizeof(sizes));
  const Bytes packed = std::as_bytes(std::span(input.substr(sizeof(sizes))));
  try {
    switch (packed_weights_type(packed)) {
      case PackedWeightsType::Embedding:
        use_embedding(packed, sizes);
        break;
      case PackedWeightsType::LinearGroupwiseLut:
        use_groupwise(packed, sizes);
        break;
      default:
        use_linear(packed, sizes);
    }
  } catch (const Error& error) {
    // Usage: the sizes are those of the caller.
    expect(error.kind() == ErrorKind::Input || error.kind() == ErrorKind::Usage,
           "a malformed object is Input, impossible sizes are Usage");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace mantissa::fuzz
