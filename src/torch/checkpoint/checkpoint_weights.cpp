#include "torch/checkpoint/checkpoint_weights.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "checkpoint/block_reader.h"
#include "checkpoint/carry_over.h"
#include "checkpoint/decoded_source.h"
#include "checkpoint/ggml_blocks.h"
#include "checkpoint/loading_reader.h"
#include "checkpoint/quantized_reason.h"
#include "core/quoted.h"
#include "formats/compressed_tensor.h"
#include "formats/fused_tensor.h"
#include "formats/gguf_tensor.h"
#include "formats/lowbit_weight.h"
#include "torch/checkpoint/scheme_activations.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

constexpr std::int64_t kGgufGroup = 32;

std::unique_ptr<CheckpointSource> decoded(
    std::unique_ptr<CheckpointSource> source) {
  const Dialect* dialect = dialect_of(*source);
  if (dialect == nullptr) {
    const std::string reason = unread_quantization(*source);
    TORCH_CHECK_VALUE(reason.empty(), reason);
    return source;
  }
  return std::make_unique<DecodedSource>(
      std::move(source), *dialect, SideTensors::Drop);
}

// Bits of a block type without minimum whose groups are kGgufGroup long.
std::optional<DType> block_codes(std::string_view stored_type) {
  if (stored_type == "Q4_0") return DType::Int4;
  if (stored_type == "Q5_0") return DType::Int5;
  if (stored_type == "Q8_0") return DType::Int8;
  return std::nullopt;
}

// The format that holds the blocks of a GGUF tensor exactly; null if none does.
std::shared_ptr<const Encoding> block_encoding(const SourceTensor& tensor,
                                               GgufBlocks blocks) {
  if (blocks == GgufBlocks::Decode) return {};
  if (tensor.shape.size() != 2 || tensor.shape[1] % kGgufGroup != 0) return {};
  std::shared_ptr<const Encoding> encoding;
  if (blocks == GgufBlocks::Lowbit) {
    const auto codes = block_codes(tensor.stored_type);
    const GgufGrid* grid = find_gguf_grid(tensor.stored_type);
    if (codes) {
      encoding = make_intx_encoding(tensor.shape,
                                    tensor.dtype,
                                    {.target_dtype = *codes,
                                     .granularity = PerGroup{kGgufGroup},
                                     .scale_dtype = DType::Float16});
    } else if (grid != nullptr && tensor.shape[1] % grid->block == 0) {
      encoding = make_gguf_encoding(tensor.shape, *grid);
    }
  } else if (tensor.stored_type == "Q8_0" || tensor.stored_type == "Q4_0") {
    encoding = make_int8_encoding(
        tensor.shape, tensor.dtype, {.granularity = PerGroup{kGgufGroup}});
  } else if (tensor.stored_type == "Q4_1") {
    encoding = make_int4_encoding(
        tensor.shape, tensor.dtype, {.group_size = kGgufGroup});
  }
  const bool exact = encoding != nullptr && carries_exactly(tensor, *encoding);
  return exact ? encoding : nullptr;
}

// Why blocks of a GGUF file are decoded; "" for plain types.
std::string decoded_because(const std::string& stored_type, GgufBlocks blocks) {
  const auto types = ggml_types();
  const auto type = std::ranges::find(types, stored_type, &GgmlTypeInfo::name);
  if (type == types.end() || !is_quantized(*type)) return {};
  if (blocks == GgufBlocks::Decode) return "its values were asked for";
  return blocks == GgufBlocks::Lowbit ? "it is not a matrix"
                                      : "no format holds its blocks";
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

// Where an encoder writes the fields of a whole tensor.
class TensorSink final : public FieldSink {
 public:
  explicit TensorSink(const Encoding& encoding) {
    for (const FieldLayout& field : encoding.fields()) {
      tensors_.push_back(at::empty(
          field.shape, at::TensorOptions(scalar_type_of(field.dtype))));
    }
  }
  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    const std::span<std::byte> all = bytes_of(tensors_.at(field));
    std::ranges::copy(bytes,
                      all.subspan(static_cast<std::size_t>(offset)).begin());
  }
  std::vector<at::Tensor> take() { return std::move(tensors_); }

 private:
  std::vector<at::Tensor> tensors_;
};

bool same_format(const Encoding& a, const Encoding& b) {
  const auto same_field = [](const FieldLayout& left,
                             const FieldLayout& right) {
    return left.name == right.name && left.dtype == right.dtype &&
           left.shape == right.shape;
  };
  return a.format_name() == b.format_name() && a.dtype() == b.dtype() &&
         a.shape() == b.shape() && a.attributes_json() == b.attributes_json() &&
         std::ranges::equal(a.fields(), b.fields(), same_field);
}

bool names_activations(const Encoding& encoding) {
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  return compressed != nullptr && !compressed->spec().input_activations.empty();
}

}  // namespace

CheckpointWeights::CheckpointWeights(const std::filesystem::path& path,
                                     const CheckpointWeightsOptions& options)
    : CheckpointWeights(with_torch_errors([&] {
                          return open_checkpoint(path, options.open);
                        }),
                        options.blocks) {}

CheckpointWeights::CheckpointWeights(std::unique_ptr<CheckpointSource> source,
                                     GgufBlocks blocks) {
  with_torch_errors([&] {
    source_ = decoded(std::move(source));
    decoded_ = dynamic_cast<const DecodedSource*>(source_.get());
    names_ = loading_names(*source_);
    if (decoded_ != nullptr) {
      refuse_schemes_without_products(*decoded_, names_);
    }
    for (const LoadingTensor& tensor : names_.tensors) {
      weights_.push_back(describe(tensor, blocks));
    }
  });
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    by_name_[weights_[i].name] = i;
  }
}

CheckpointWeights::~CheckpointWeights() = default;
CheckpointWeights::CheckpointWeights(CheckpointWeights&&) noexcept = default;

CheckpointWeight CheckpointWeights::describe(const LoadingTensor& tensor,
                                             GgufBlocks blocks) const {
  CheckpointWeight out{.name = tensor.name,
                       .stored = {},
                       .dtype = tensor.dtype,
                       .shape = tensor.shape,
                       .bytes = 0,
                       .role = tensor.role,
                       .tied = tensor.tied};
  for (const Piece& piece : tensor.pieces) {
    const SourceTensor& stored = source_->tensors()[piece.source];
    out.stored = stored.stored_type;
    if (!tensor.tied) out.bytes += stored.stored_bytes;
  }
  // One expert's matrix is a tensor of experts too.
  const std::size_t first = tensor.pieces.front().source;
  if (tensor.pieces.size() != 1 ||
      source_->tensors()[first].shape != tensor.shape) {
    describe_fused(tensor, blocks, out);
    return out;
  }
  out.encoding = encoding_of(first, blocks);
  if (decoded_ == nullptr && out.encoding == nullptr) {
    out.decoded = decoded_because(out.stored, blocks);
  }
  return out;
}

std::shared_ptr<const Encoding> CheckpointWeights::encoding_of(
    std::size_t source, GgufBlocks blocks) const {
  return decoded_ == nullptr
             ? block_encoding(source_->tensors()[source], blocks)
             : runnable_encoding(decoded_->stored(), decoded_->tensor(source));
}

void CheckpointWeights::describe_fused(const LoadingTensor& tensor,
                                       GgufBlocks blocks,
                                       CheckpointWeight& out) const {
  std::shared_ptr<const Encoding> matrix;
  bool alike = true;
  bool quantized = false;
  for (const Piece& piece : tensor.pieces) {
    if (blocks != GgufBlocks::Lowbit && decoded_ != nullptr) {
      refuse_scheme_activations(
          decoded_->tensor(piece.source),
          fmt::format(
              "it is loaded as a part of {}, whose products run without "
              "quantized activations; supported are linear layers, and "
              "experts whose scheme has none.",
              printable(out.name)));
    }
    const auto own = encoding_of(piece.source, blocks);
    const bool first = &piece == &tensor.pieces.front();
    if (first) matrix = own;
    quantized = quantized || own != nullptr;
    alike = alike &&
            (own == nullptr ? matrix == nullptr
                            : matrix != nullptr && same_format(*own, *matrix));
  }
  if (decoded_ == nullptr) out.decoded = decoded_because(out.stored, blocks);
  if (!quantized) return;
  out.decoded = "its experts are fused";
  if (blocks != GgufBlocks::Lowbit) return;
  if (!alike) {
    // Values have no activations.
    for (const Piece& piece : tensor.pieces) {
      if (decoded_ == nullptr) break;
      refuse_scheme_activations(
          decoded_->tensor(piece.source),
          fmt::format("it is loaded as a part of {}, whose experts differ in "
                      "format, so that they are decoded, and values have no "
                      "activations; supported are experts of one format, with "
                      "all their scales in one dtype.",
                      printable(out.name)));
    }
    out.decoded = "its matrices differ in format";
    return;
  }
  auto fused = make_fused_encoding(tensor.shape, matrix);
  out.decoded = LowbitWeight::refusal(*fused);
  if (!out.decoded.empty() && !names_activations(*matrix)) return;
  out.decoded = {};
  out.encoding = std::move(fused);
}

const CheckpointWeight* CheckpointWeights::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &weights_[found->second];
}

const LoadingTensor& CheckpointWeights::loading(
    const CheckpointWeight& weight) const {
  const auto found = by_name_.find(weight.name);
  TORCH_CHECK_VALUE(
      found != by_name_.end(), "checkpoint: no weight is named ", weight.name);
  return names_.tensors[found->second];
}

at::Tensor CheckpointWeights::read(const CheckpointWeight& weight) const {
  if (weight.encoding == nullptr) return read_values(weight);
  if (is_fused(*weight.encoding)) return read_fused(weight);
  return make_quantized_tensor(
      weight.encoding,
      read_fields(loading(weight).pieces.front().source, weight.encoding));
}

at::Tensor CheckpointWeights::read_values(
    const CheckpointWeight& weight) const {
  const LoadingTensor& tensor = loading(weight);
  at::Tensor out =
      at::empty(weight.shape, at::TensorOptions(scalar_type_of(weight.dtype)));
  if (out.numel() == 0) return out;
  with_torch_errors([&] {
    if (tensor.pieces.size() == 1) {
      const std::int64_t width = weight.shape.empty() ? 1 : weight.shape.back();
      source_->read_rows(
          tensor.pieces.front().source, 0, out.numel() / width, bytes_of(out));
      return;
    }
    const LoadingReader reader(*source_, tensor);
    const MatrixShape shape = reader.shape();
    const auto bytes = static_cast<std::size_t>(
        shape.rows * reader.row_bytes(RowForm::Delivered));
    for (std::int64_t matrix = 0; matrix < shape.matrices; ++matrix) {
      reader.read({matrix, 0, shape.rows},
                  RowForm::Delivered,
                  bytes_of(out).subspan(
                      static_cast<std::size_t>(matrix) * bytes, bytes));
    }
  });
  return out;
}

std::vector<at::Tensor> CheckpointWeights::read_fields(
    std::size_t source, const std::shared_ptr<const Encoding>& encoding) const {
  return with_torch_errors([&] {
    std::vector<at::Tensor> out;
    if (decoded_ != nullptr) {
      EncodedTensor own = runnable_fields(
          decoded_->stored(), decoded_->tensor(source), decoded_->load(source));
      for (HostTensor& field : own.fields) {
        out.push_back(from_host(std::move(field)));
      }
      return out;
    }
    const SourceTensor& stored = source_->tensors()[source];
    const LoadingTensor whole{.name = stored.name,
                              .dtype = stored.dtype,
                              .shape = stored.shape,
                              .role = TensorRole::Linear,
                              .pieces = {{.source = source}}};
    TensorSink sink(*encoding);
    const auto encoder = make_carry_encoder(stored, encoding);
    BlockReader reader(*source_, whole);
    for (const RowBlock& block : reader.blocks(encoder->row_multiple())) {
      encoder->encode(block, reader.stored(block), sink);
    }
    return sink.take();
  });
}

at::Tensor CheckpointWeights::read_fused(const CheckpointWeight& weight) const {
  const auto matrix = fused_matrix(*weight.encoding);
  TensorSink sink(*weight.encoding);
  std::int64_t i = 0;
  for (const Piece& piece : loading(weight).pieces) {
    const auto fields = read_fields(piece.source, matrix);
    for (std::size_t f = 0; f < fields.size(); ++f) {
      const std::span<const std::byte> bytes = bytes_of(fields[f]);
      sink.write(f, i * static_cast<std::int64_t>(bytes.size()), bytes);
    }
    ++i;
  }
  return make_quantized_tensor(weight.encoding, sink.take());
}

}  // namespace mantissa
