#include "checkpoint/decoded_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/carried_codes.h"
#include "checkpoint/dialects/compressed_tensors.h"
#include "checkpoint/quantized_reason.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::array<std::string_view, 7> kSideTensors = {".input_scale",
                                                          ".input_zero_point",
                                                          ".output_scale",
                                                          ".output_zero_point",
                                                          ".q_scale",
                                                          ".k_scale",
                                                          ".v_scale"};

bool is_side_tensor(std::string_view name) {
  return std::ranges::any_of(kSideTensors, [&](std::string_view suffix) {
    return name.ends_with(suffix);
  });
}

std::string without_quantization(const std::string& text) {
  const auto config = parse_bounded_json(text);
  if (!config || !config->is_object()) return text;
  nlohmann::ordered_json out = *config;
  for (const char* key : {"quantization_config", "compression_config"}) {
    out.erase(key);
    if (out.contains("text_config") && out["text_config"].is_object()) {
      out["text_config"].erase(key);
    }
  }
  return out.dump(2) + "\n";
}

}  // namespace

DecodedSource::DecodedSource(std::unique_ptr<CheckpointSource> source,
                             const Dialect& dialect,
                             SideTensors side)
    : source_(std::move(source)),
      dialect_(dialect),
      quantized_(dialect.open(*source_)),
      config_(side == SideTensors::Keep
                  ? source_->config_json()
                  : without_quantization(source_->config_json())) {
  const std::string conflict = quantization_conflict(*source_);
  if (!conflict.empty()) throw Error(ErrorKind::Input, conflict);
  const std::string transforms = unapplied_transforms(source_->config_json());
  if (!transforms.empty()) throw Error(ErrorKind::Usage, transforms);
  quantized_->require_sound();
  if (!quantized_->leftovers().empty()) {
    const std::size_t part = quantized_->leftovers().front();
    throw Error(ErrorKind::Input,
                fmt::format("tensor {} belongs to no weight; mantissa verify "
                            "lists all of these",
                            quoted_name(source_->tensors()[part].name)));
  }
  for (const DialectTensor& tensor : quantized_->tensors()) {
    if (tensor.plain() && side == SideTensors::Drop &&
        is_side_tensor(tensor.name)) {
      continue;
    }
    SourceTensor out = source_->tensors()[tensor.parts.front()];
    if (!tensor.plain()) {
      out = {.name = tensor.name,
             .dtype = tensor.encoding->dtype(),
             .shape = tensor.encoding->shape(),
             .stored_type = tensor.type,
             .stored_bytes = mantissa::stored_bytes(*tensor.encoding)};
    }
    tensors_.push_back(std::move(out));
    logical_.push_back(&tensor);
  }
}

void DecodedSource::read_rows(std::size_t index,
                              std::int64_t row,
                              std::int64_t rows,
                              std::span<std::byte> out) const {
  const DialectTensor& tensor = *logical_[index];
  if (tensor.plain()) {
    source_->read_rows(tensor.parts.front(), row, rows, out);
    return;
  }
  const MatrixShape shape = matrix_shape(tensor.encoding->shape());
  const std::int64_t row_bytes =
      byte_count(tensor.encoding->dtype(), {shape.columns});
  while (rows > 0) {
    const RowBlock block{row / shape.rows,
                         row % shape.rows,
                         std::min(rows, shape.rows - row % shape.rows)};
    const auto bytes = static_cast<std::size_t>(block.rows * row_bytes);
    read_block(tensor, block, out.first(bytes));
    out = out.subspan(bytes);
    row += block.rows;
    rows -= block.rows;
  }
}

// Decodes the units of rows around a block and copies what was asked for.
void DecodedSource::read_block(const DialectTensor& tensor,
                               const RowBlock& block,
                               std::span<std::byte> out) const {
  const MatrixShape shape = matrix_shape(tensor.encoding->shape());
  const std::int64_t unit = tensor.encoding->row_unit();
  const std::int64_t first = block.row / unit * unit;
  const std::int64_t last =
      std::min((block.row + block.rows + unit - 1) / unit * unit, shape.rows);
  const HostTensor values =
      read_encoded_rows(*source_, tensor, {block.matrix, first, last - first})
          .decode();
  const std::int64_t row_bytes = byte_count(values.dtype(), {shape.columns});
  std::memcpy(
      out.data(), values.data() + (block.row - first) * row_bytes, out.size());
}

bool is_decoded(const CheckpointSource& source) {
  return dynamic_cast<const DecodedSource*>(&source) != nullptr;
}

std::shared_ptr<const Encoding> carried_encoding(
    const CheckpointSource& source,
    std::size_t index,
    const std::shared_ptr<const Encoding>& target) {
  const auto* decoded = dynamic_cast<const DecodedSource*>(&source);
  if (decoded == nullptr || decoded->tensor(index).plain()) return nullptr;
  return carried_from(decoded->stored(), decoded->tensor(index), target);
}

std::string_view carried_format(const CheckpointSource& source,
                                std::size_t index) {
  const auto* decoded = dynamic_cast<const DecodedSource*>(&source);
  if (decoded == nullptr || decoded->tensor(index).plain()) return {};
  return decoded->tensor(index).type;
}

}  // namespace mantissa
