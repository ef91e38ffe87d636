#include "checkpoint/gguf_stored_source.h"

#include <fmt/format.h>

#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_rows.h"
#include "checkpoint/logical_checkpoint.h"

namespace mantissa {
namespace {

class GgufStoredSource final : public CheckpointSource {
 public:
  GgufStoredSource(const std::filesystem::path& path,
                   const std::string& refusal)
      : file_(path),
        fingerprint_(gguf_fingerprint(file_, "")),
        notes_{fmt::format("`convert` and `quantize` do not take this file: {}",
                           refusal),
               "checked are the header, the extents and, by `verify`, the "
               "values; which tensors a model needs, and with what shapes, is "
               "not"} {
    for (const GgufTensor& tensor : file_.tensors()) {
      tensors_.push_back({tensor.name,
                          DType::Float32,
                          tensor.shape,
                          std::string(tensor.type->name),
                          tensor.bytes});
    }
  }

  std::string kind() const override { return "GGUF"; }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override { return config_json_; }
  std::vector<Companion> companions() const override { return {}; }
  std::string fingerprint() const override { return fingerprint_; }
  std::vector<std::string> notes() const override { return notes_; }
  std::vector<SourceFile> files() const override {
    return {file_.file().identity()};
  }

  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override {
    const RowShape shape = row_shape(tensors_.at(index).shape);
    check_gguf_rows(tensors_[index],
                    {row, rows, shape.rows},
                    shape.width * bit_width(DType::Float32) / 8,
                    out.size());
    visit(index,
          row,
          rows,
          GgufDecoder(*file_.tensors()[index].type, DType::Float32, out));
  }

  void read_stored_rows(std::size_t index,
                        std::int64_t row,
                        std::int64_t rows,
                        std::span<std::byte> out) const override {
    check_gguf_rows(tensors_.at(index),
                    {row, rows, row_shape(tensors_[index].shape).rows},
                    file_.tensors()[index].row_bytes,
                    out.size());
    visit(index, row, rows, GgufCopier(out));
  }

 private:
  template <class Visit>
  void visit(std::size_t index,
             std::int64_t row,
             std::int64_t rows,
             Visit&& visit) const {
    const GgufTensor& tensor = file_.tensors()[index];
    visit_gguf_bytes(
        file_, tensor, row * tensor.row_bytes, rows * tensor.row_bytes, visit);
  }

  GgufFile file_;
  std::string fingerprint_;
  std::vector<std::string> notes_;
  std::vector<SourceTensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::string config_json_;
};

}  // namespace

std::unique_ptr<CheckpointSource> open_gguf_stored(
    const std::filesystem::path& path, const std::string& refusal) {
  return std::make_unique<GgufStoredSource>(path, refusal);
}

}  // namespace mantissa
