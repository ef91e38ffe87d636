#include "checkpoint/open_gguf.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_rows.h"
#include "checkpoint/gguf_stored_source.h"
#include "checkpoint/gguf_tokenizer.h"

namespace mantissa {
namespace {

// One dtype for the whole model: a converter stores vectors as F32 beside
// weights of half precision, so the weights decide.
DType default_dtype(const GgufFile& file) {
  bool half = false;
  bool bfloat = false;
  for (const GgufTensor& tensor : file.tensors()) {
    if (is_quantized(*tensor.type)) return DType::BFloat16;
    half = half || tensor.type->type == GgmlType::F16;
    bfloat = bfloat || tensor.type->type == GgmlType::BF16;
  }
  if (half == bfloat) return DType::Float32;
  return half ? DType::Float16 : DType::BFloat16;
}

DType delivered_dtype(const GgufFile& file, const OpenOptions& options) {
  if (!options.dtype) return default_dtype(file);
  const DType dtype = *options.dtype;
  if (dtype != DType::Float32 && dtype != DType::BFloat16 &&
      dtype != DType::Float16) {
    throw Error(ErrorKind::Usage,
                fmt::format("dtype: expected float32, bfloat16 or float16, "
                            "found {}",
                            name(dtype)));
  }
  return dtype;
}

class GgufModelSource final : public CheckpointSource {
 public:
  GgufModelSource(const std::filesystem::path& path, const OpenOptions& options)
      : file_(path), model_(read_gguf_model(file_)) {
    const DType dtype = delivered_dtype(file_, options);
    for (const GgufModelTensor& tensor : model_.tensors) {
      const GgufTensor& stored = file_.tensors()[tensor.source];
      const std::int64_t experts =
          tensor.shape.size() < stored.shape.size() ? stored.shape[0] : 1;
      tensors_.push_back({tensor.name,
                          dtype,
                          tensor.shape,
                          std::string(stored.type->name),
                          stored.bytes / experts});
    }
    make_texts(dtype);
    fingerprint_ = gguf_fingerprint(file_, config_json_);
  }

  std::string kind() const override { return "GGUF"; }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override { return config_json_; }
  std::vector<Companion> companions() const override { return companions_; }
  std::string fingerprint() const override { return fingerprint_; }
  std::vector<SourceFile> files() const override {
    return {file_.file().identity()};
  }

  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override {
    const GgmlTypeInfo& type = *stored(index).type;
    const DType dtype = tensors_[index].dtype;
    const std::int64_t value_bytes = bit_width(dtype) / 8;
    check_range(
        index, row, rows, stored(index).shape.back() * value_bytes, out.size());
    visit_rows(index, row, rows, GgufDecoder(type, dtype, out));
  }

  void read_stored_rows(std::size_t index,
                        std::int64_t row,
                        std::int64_t rows,
                        std::span<std::byte> out) const override {
    const GgufTensor& tensor = stored(index);
    check_range(index, row, rows, tensor.row_bytes, out.size());
    const GgufModelTensor& mapped = model_.tensors[index];
    if (mapped.interleaved == 0) {
      file_.read(tensor, (mapped.first_row + row) * tensor.row_bytes, out);
    } else {
      visit_rows(index, row, rows, GgufCopier(out));
    }
  }

 private:
  const GgufTensor& stored(std::size_t index) const {
    return file_.tensors()[model_.tensors[index].source];
  }

  // read_gguf_model() makes vectors and matrices of all tensors.
  void check_range(std::size_t index,
                   std::int64_t row,
                   std::int64_t rows,
                   std::int64_t row_bytes,
                   std::size_t bytes) const {
    const Shape& shape = tensors_.at(index).shape;
    const GgufRows wanted{row, rows, shape.size() > 1 ? shape[0] : 1};
    check_gguf_rows(tensors_[index], wanted, row_bytes, bytes);
  }

  // Calls visit(bytes) with the blocks of the rows, in Hugging Face's order.
  template <class Visit>
  void visit_rows(std::size_t index,
                  std::int64_t row,
                  std::int64_t rows,
                  Visit&& visit) const {
    const GgufTensor& tensor = stored(index);
    const std::int64_t head = model_.tensors[index].interleaved;
    if (head == 0) {
      visit_gguf_bytes(
          file_,
          tensor,
          (model_.tensors[index].first_row + row) * tensor.row_bytes,
          rows * tensor.row_bytes,
          visit);
    } else if (tensor.shape.size() > 1) {
      visit_heads(tensor, head, tensor.row_bytes, row, rows, visit);
    } else {
      // A bias is one row whose elements move.
      visit_heads(tensor,
                  head,
                  tensor.type->block_bytes,
                  0,
                  rows * tensor.shape[0],
                  visit);
    }
  }

  // Units (rows, or elements of a bias) of `unit_bytes`, `head` to a head:
  // unit b * (head / 2) + a lies at 2 * a + b.
  template <class Visit>
  void visit_heads(const GgufTensor& tensor,
                   std::int64_t head,
                   std::int64_t unit_bytes,
                   std::int64_t unit,
                   std::int64_t units,
                   Visit&& visit) const {
    const auto bytes = static_cast<std::size_t>(unit_bytes);
    std::vector<std::byte> interleaved(static_cast<std::size_t>(head) * bytes);
    std::vector<std::byte> ordered(interleaved.size());
    for (const std::int64_t end = unit + units; unit < end;) {
      const std::int64_t first = unit % head;
      const std::int64_t count = std::min(head - first, end - unit);
      file_.read(tensor, (unit - first) * unit_bytes, interleaved);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t half = head / 2;
        const std::int64_t from = 2 * ((first + i) % half) + (first + i) / half;
        std::memcpy(ordered.data() + static_cast<std::size_t>(i) * bytes,
                    interleaved.data() + static_cast<std::size_t>(from) * bytes,
                    bytes);
      }
      visit(std::span<const std::byte>(ordered).first(
          static_cast<std::size_t>(count) * bytes));
      unit += count;
    }
  }

  void make_texts(DType dtype) {
    const GgufModelShape& shape = model_.shape;
    const SpecialTokens special =
        read_special_tokens(file_.metadata(), token_count());
    config_json_ = model_config_json(shape, special, dtype);
    GgufTokenizer tokenizer = read_tokenizer(
        file_.metadata(), special, shape.vocabulary, shape.positions);
    companions_ = {
        {"generation_config.json", {}, generation_config_json(special)},
        {"tokenizer.json", {}, std::move(tokenizer.tokenizer_json)},
        {"tokenizer_config.json",
         {},
         std::move(tokenizer.tokenizer_config_json)},
    };
  }

  std::int64_t token_count() const {
    const auto* tokens = file_.metadata().strings("tokenizer.ggml.tokens");
    return tokens == nullptr ? model_.shape.vocabulary
                             : static_cast<std::int64_t>(tokens->size());
  }

  GgufFile file_;
  GgufModel model_;
  std::vector<SourceTensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::string config_json_;
  std::vector<Companion> companions_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<CheckpointSource> open_gguf_model(
    const std::filesystem::path& path, const OpenOptions& options) {
  try {
    return std::make_unique<GgufModelSource>(path, options);
  } catch (const Error& error) {
    const std::string file = path.string() + ": ";
    const std::string_view what = error.what();
    const bool named = what.starts_with(file);
    if (options.any_gguf && error.kind() == ErrorKind::Usage) {
      return open_gguf_stored(
          path, std::string(what.substr(named ? file.size() : 0)));
    }
    if (named) throw;
    throw Error(error.kind(), file + std::string(what));
  }
}

}  // namespace mantissa
