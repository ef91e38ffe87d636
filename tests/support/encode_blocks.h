#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include <mantissa/formats/encoding.h>

namespace mantissa::support {

/// Counts how often each byte of each field is written, and keeps it.
class CountingSink final : public FieldSink {
 public:
  explicit CountingSink(const std::vector<FieldLayout>& fields) {
    for (const FieldLayout& field : fields) {
      tensors.emplace_back(field.dtype, field.shape);
      counts.emplace_back(static_cast<std::size_t>(tensors.back().nbytes()));
    }
  }

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (offset < 0 || offset + size > tensors.at(field).nbytes()) {
      throw std::logic_error("write outside the field");
    }
    std::memcpy(tensors[field].data() + offset, bytes.data(), bytes.size());
    for (std::int64_t i = 0; i < size; ++i) {
      ++counts[field][static_cast<std::size_t>(offset + i)];
    }
  }

  /// True when every byte of every field was written exactly once.
  bool complete() const {
    return std::all_of(counts.begin(), counts.end(), [](const auto& field) {
      return std::all_of(
          field.begin(), field.end(), [](int count) { return count == 1; });
    });
  }

  std::vector<HostTensor> tensors;
  std::vector<std::vector<int>> counts;
};

/// Encodes `weight` in blocks of `rows` rows, as the pipeline does: observe()
/// in order, then encode() from the last block to the first. Throws
/// std::logic_error unless every byte is written exactly once.
inline EncodedTensor encode_in_blocks(std::shared_ptr<const Encoding> encoding,
                                      ConstTensorView weight,
                                      std::int64_t rows) {
  const MatrixShape shape = matrix_shape(weight.shape);
  const std::unique_ptr<Encoder> encoder = encoding->make_encoder();
  const std::int64_t unit = encoder->row_multiple();
  rows = (rows + unit - 1) / unit * unit;
  std::vector<RowBlock> blocks;
  for (std::int64_t m = 0; m < shape.matrices; ++m) {
    for (std::int64_t r = 0; r < shape.rows; r += rows) {
      blocks.push_back({m, r, std::min(rows, shape.rows - r)});
    }
  }
  const auto view = [&](const RowBlock& block) {
    const std::int64_t first = block.matrix * shape.rows + block.row;
    return ConstTensorView{
        weight.dtype,
        {block.rows, shape.columns},
        weight.data + byte_count(weight.dtype, {first, shape.columns})};
  };
  while (encoder->wants_pass()) {
    for (const RowBlock& block : blocks) encoder->observe(block, view(block));
    encoder->end_pass();
  }
  CountingSink sink(encoding->fields());
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    encoder->encode(*block, view(*block), sink);
  }
  if (!sink.complete()) throw std::logic_error("bytes missing or repeated");
  return {encoding, sink.tensors};
}

/// True when both have the same fields, bit for bit.
inline bool same_fields(const EncodedTensor& a, const EncodedTensor& b) {
  if (a.fields.size() != b.fields.size()) return false;
  for (std::size_t i = 0; i < a.fields.size(); ++i) {
    if (a.fields[i].dtype() != b.fields[i].dtype() ||
        a.fields[i].shape() != b.fields[i].shape() ||
        std::memcmp(a.fields[i].data(),
                    b.fields[i].data(),
                    static_cast<std::size_t>(a.fields[i].nbytes())) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace mantissa::support
