#include "checkpoint/gguf_tensor_encoder.h"

#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/ggml_split.h"
#include "core/quoted.h"
#include "formats/gguf_tensor.h"

namespace mantissa {
namespace {

bool finite_half(std::uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

class GgufTensorEncoder final : public Encoder {
 public:
  GgufTensorEncoder(std::string name, std::shared_ptr<const Encoding> encoding)
      : name_(std::move(name)),
        encoding_(std::move(encoding)),
        grid_(*gguf_grid(*encoding_)),
        split_(*find_ggml_split(grid_.type)) {}

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override;

 private:
  std::int64_t blocks() const { return encoding_->shape()[1] / grid_.block; }

  // Bytes of a field that stand for one block.
  std::int64_t bytes_of(const FieldLayout& field) const {
    return blocks() == 0
               ? 0
               : field.shape[1] / blocks() * (bit_width(field.dtype) / 8);
  }

  // What a field holds of a block.
  static const void* part(const GgufFields& fields,
                          std::size_t field,
                          const GgmlParts& parts) {
    if (field == GgufFields::kQdata) return parts.codes;
    if (field == GgufFields::kScale) return &parts.scale;
    if (field == fields.minimum) return &parts.minimum;
    return field == fields.factor ? parts.factors : parts.minimum_factors;
  }

  void check(const RowBlock& block, ConstTensorView rows) const;

  std::string name_;
  std::shared_ptr<const Encoding> encoding_;
  const GgufGrid& grid_;
  const GgmlSplit& split_;
};

void GgufTensorEncoder::check(const RowBlock& block,
                              ConstTensorView rows) const {
  const Shape expected = {block.rows, blocks() * split_.bytes};
  if (rows.dtype == DType::UInt8 && rows.shape == expected) return;
  throw Error(ErrorKind::Usage,
              fmt::format("{}: rows: expected stored blocks uint8 {}, found {} "
                          "{}",
                          quoted_name(name_),
                          to_string(expected),
                          name(rows.dtype),
                          to_string(rows.shape)));
}

void GgufTensorEncoder::encode(const RowBlock& block,
                               ConstTensorView rows,
                               FieldSink& sink) const {
  check(block, rows);
  const GgufFields at = gguf_fields(grid_);
  const std::vector<FieldLayout> layouts = encoding_->fields();
  const std::int64_t count = block.rows * blocks();
  std::vector<std::vector<std::byte>> out(layouts.size());
  for (std::size_t f = 0; f < layouts.size(); ++f) {
    out[f].resize(static_cast<std::size_t>(count * bytes_of(layouts[f])));
  }
  GgmlParts parts;
  for (std::int64_t b = 0; b < count; ++b) {
    split_.split(rows.data + b * split_.bytes, parts);
    if (!finite_half(parts.scale) || !finite_half(parts.minimum)) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: row {}, block {}: the {} is not finite",
                              quoted_name(name_),
                              block.row + b / blocks(),
                              b % blocks(),
                              finite_half(parts.scale) ? "minimum" : "scale"));
    }
    for (std::size_t f = 0; f < layouts.size(); ++f) {
      const std::int64_t bytes = bytes_of(layouts[f]);
      std::memcpy(out[f].data() + b * bytes,
                  part(at, f, parts),
                  static_cast<std::size_t>(bytes));
    }
  }
  for (std::size_t f = 0; f < layouts.size(); ++f) {
    sink.write(f, block.row * blocks() * bytes_of(layouts[f]), out[f]);
  }
}

}  // namespace

std::unique_ptr<Encoder> make_gguf_tensor_encoder(
    std::string name, std::shared_ptr<const Encoding> encoding) {
  return std::make_unique<GgufTensorEncoder>(std::move(name),
                                             std::move(encoding));
}

}  // namespace mantissa
