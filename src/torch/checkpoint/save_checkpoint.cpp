#include <utility>

#include <c10/util/Exception.h>

#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/quantized_tensor.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/output_directory.h"
#include "checkpoint/write_checkpoint.h"
#include "formats/fused_tensor.h"
#include "formats/gguf_tensor.h"
#include "torch/checkpoint/module_source.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using torch::nn::Module;

const Dialect& dialect_named(const std::string& name) {
  const Dialect* dialect = find_dialect(name);
  std::string known;
  for (const Dialect* each : dialects()) {
    known += (known.empty() ? "" : ", ") + std::string(each->name());
  }
  TORCH_CHECK_VALUE(dialect != nullptr,
                    "save_checkpoint: options.format: expected ",
                    known,
                    ", got ",
                    name);
  return *dialect;
}

// Before anything is touched.
void check_place(const std::filesystem::path& directory,
                 const SaveOptions& options) {
  std::error_code ignored;
  TORCH_CHECK_VALUE(options.overwrite || !std::filesystem::exists(
                                             std::filesystem::symlink_status(
                                                 directory, ignored)),
                    "save_checkpoint: ",
                    directory.string(),
                    " exists; SaveOptions::overwrite replaces it");
  if (options.like.empty()) return;
  for (const auto& place : {directory, partial_path(directory)}) {
    TORCH_CHECK_VALUE(!is_within(options.like, place),
                      "save_checkpoint: options.like: ",
                      options.like.string(),
                      " lies in ",
                      place.string(),
                      ", which is replaced; copy it elsewhere, or save beside "
                      "it");
  }
}

std::unique_ptr<CheckpointSource> open_like(const std::filesystem::path& path) {
  return path.empty() ? nullptr : open_checkpoint(path);
}

TensorRole role_of(const ParameterPlace& place) {
  switch (place.kind()) {
    case WeightKind::Linear:
      return TensorRole::Linear;
    case WeightKind::Embedding:
      return TensorRole::Embedding;
    case WeightKind::Other:
      return TensorRole::Unknown;
  }
  return TensorRole::Unknown;
}

class Saver {
 public:
  explicit Saver(const SaveOptions& options)
      : options_(options), source_(open_like(options.like)) {}

  void add(const Parameter& parameter) {
    const std::vector<std::string> names = parameter.names();
    NewTensor out = named(names);
    out.role = role_of(parameter.places.front());
    const at::Tensor& tensor = parameter.tensor;
    require_data(names.front(), tensor);
    const QuantizedTensorImpl* impl = quantized_impl(tensor);
    // No file of ours holds a GgufTensor or a FusedTensor.
    if (impl == nullptr || impl->training() ||
        gguf_grid(*impl->state().encoding) != nullptr ||
        is_fused(*impl->state().encoding)) {
      source_.add(std::move(out),
                  (impl == nullptr ? tensor : impl->dense()).detach());
      return;
    }
    const WeightState state = impl->state().unpacked();
    TORCH_CHECK_VALUE(!state.transposed,
                      "save_checkpoint: ",
                      names.front(),
                      ": a transposed view of a quantized weight has no stored "
                      "form; register the weight itself");
    warn_of_dtype(names.front(), tensor, *state.encoding);
    source_.add(std::move(out), state.encoding, state.fields);
  }

  void add(const Buffer& buffer) {
    require_data(buffer.names.front(), buffer.tensor);
    source_.add(named(buffer.names), buffer.tensor.detach());
  }

  SaveReport write(const std::filesystem::path& directory) {
    WrittenCheckpoint written =
        write_checkpoint(source_,
                         source_.new_tensors(),
                         {.dialect = &dialect_named(options_.format),
                          .recorded = options_.config,
                          .shard_bytes = options_.max_shard_bytes,
                          .replace = options_.overwrite},
                         directory);
    warnings_.insert(
        warnings_.end(), written.warnings.begin(), written.warnings.end());
    return {std::move(written.files), written.bytes, std::move(warnings_)};
  }

 private:
  std::string renamed(const std::string& name) const {
    return options_.rename ? options_.rename(name) : name;
  }

  // One tensor of the file, and its further names.
  NewTensor named(const std::vector<std::string>& names) const {
    NewTensor out;
    out.stored.name = renamed(names.front());
    for (std::size_t i = 1; i < names.size(); ++i) {
      out.tied.push_back(renamed(names[i]));
    }
    return out;
  }

  static void require_data(const std::string& name, const at::Tensor& tensor) {
    TORCH_CHECK_VALUE(!tensor.is_meta(),
                      "save_checkpoint: ",
                      name,
                      ": it is on the meta device and has no values");
    TORCH_CHECK_VALUE(tensor.layout() == c10::kStrided,
                      "save_checkpoint: ",
                      name,
                      ": expected a dense tensor, got layout ",
                      tensor.layout(),
                      "; to_dense() makes one");
    TORCH_CHECK_VALUE(has_dtype(tensor.scalar_type()),
                      "save_checkpoint: ",
                      name,
                      ": files cannot hold ",
                      tensor.scalar_type());
  }

  // Fields keep their bits when a module is cast.
  void warn_of_dtype(const std::string& name,
                     const at::Tensor& tensor,
                     const Encoding& encoding) {
    const DType logical = dtype_of(tensor.scalar_type());
    if (logical == encoding.dtype()) return;
    warnings_.push_back(
        c10::str(name,
                 ": saved as ",
                 std::string(mantissa::name(encoding.dtype())),
                 ", the dtype of its fields; the module has it as ",
                 std::string(mantissa::name(logical))));
  }

  const SaveOptions& options_;
  ModuleSource source_;
  std::vector<std::string> warnings_;
};

}  // namespace

SaveReport save_checkpoint(Module& module,
                           const std::filesystem::path& directory,
                           const SaveOptions& options) {
  return with_torch_errors([&] {
    check_place(directory, options);
    Saver saver(options);
    for (const Parameter& parameter : parameters_of(module)) {
      saver.add(parameter);
    }
    for (const Buffer& buffer : buffers_of(module)) saver.add(buffer);
    return saver.write(directory);
  });
}

}  // namespace mantissa
