#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/encoding.h>
#include <mantissa/primitives/convert.h>

namespace mantissa {

/// Normal values with a zero row, an outlier and a subnormal, in `dtype`.
inline HostTensor affine_weight(const Shape& shape,
                                DType dtype,
                                unsigned seed = 1) {
  HostTensor w(DType::Float32, shape);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  float* values = w.as<float>();
  for (std::int64_t i = 0; i < w.numel(); ++i) values[i] = normal(random);
  for (std::int64_t i = 0; i < shape.back(); ++i) values[i] = 0.0f;
  if (w.numel() > 0) {
    values[w.numel() - 1] = 100.0f;
    values[w.numel() / 2] = 0x1p-130f;
  }
  return converted(w.view(), dtype);
}

/// Fields that an encoder's blocks fill.
class BlockSink final : public FieldSink {
 public:
  explicit BlockSink(const Encoding& encoding) {
    for (const FieldLayout& field : encoding.fields()) {
      fields.emplace_back(field.dtype, field.shape);
      // Nothing may rely on a fresh buffer being zero.
      std::memset(fields.back().data(),
                  0x5a,
                  static_cast<std::size_t>(fields.back().nbytes()));
    }
  }
  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    ASSERT_LE(offset + static_cast<std::int64_t>(bytes.size()),
              fields[field].nbytes());
    std::memcpy(fields[field].data() + offset, bytes.data(), bytes.size());
  }
  std::vector<HostTensor> fields;
};

/// Encodes in blocks of `rows` rows, the last one first.
inline std::vector<HostTensor> encode_in_blocks(const Encoding& encoding,
                                                ConstTensorView weight,
                                                std::int64_t rows) {
  const MatrixShape m = matrix_shape(weight.shape);
  const std::int64_t row_bytes = byte_count(weight.dtype, {m.columns});
  std::vector<std::pair<RowBlock, ConstTensorView>> blocks;
  for (std::int64_t matrix = 0; matrix < m.matrices; ++matrix) {
    for (std::int64_t row = 0; row < m.rows; row += rows) {
      const std::int64_t n = std::min(rows, m.rows - row);
      blocks.push_back({{matrix, row, n},
                        {weight.dtype,
                         {n, m.columns},
                         weight.data + (matrix * m.rows + row) * row_bytes}});
    }
  }
  const auto encoder = encoding.make_encoder();
  while (encoder->wants_pass()) {
    for (const auto& [block, view] : blocks) encoder->observe(block, view);
    encoder->end_pass();
  }
  BlockSink sink(encoding);
  std::reverse(blocks.begin(), blocks.end());
  for (const auto& [block, view] : blocks) encoder->encode(block, view, sink);
  return sink.fields;
}

inline void expect_same_fields(const std::vector<HostTensor>& got,
                               const std::vector<HostTensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].dtype(), want[i].dtype());
    EXPECT_EQ(got[i].shape(), want[i].shape());
    ASSERT_EQ(got[i].nbytes(), want[i].nbytes());
    EXPECT_EQ(std::memcmp(got[i].data(),
                          want[i].data(),
                          static_cast<std::size_t>(got[i].nbytes())),
              0)
        << "field " << i;
  }
}

inline void expect_same_tensor(const HostTensor& got, const HostTensor& want) {
  expect_same_fields({got}, {want});
}

/// The message of the Error of this kind that `act` must throw.
template <class Act>
std::string refusal_of(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace mantissa
