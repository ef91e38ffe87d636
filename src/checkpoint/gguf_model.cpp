#include "checkpoint/gguf_model.h"

#include <optional>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/gguf_keys.h"
#include "checkpoint/gguf_model_keys.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

std::int64_t extent_of(const GgufModelShape& shape, GgufExtent extent) {
  switch (extent) {
    case GgufExtent::None:
      return 0;
    case GgufExtent::Hidden:
      return shape.hidden;
    case GgufExtent::Head:
      return shape.head_dim;
    case GgufExtent::Queries:
      return shape.heads * shape.head_dim;
    case GgufExtent::Keys:
      return shape.kv_heads * shape.head_dim;
    case GgufExtent::Intermediate:
      return shape.intermediate;
    case GgufExtent::OneExpert:
      return shape.expert_intermediate;
    case GgufExtent::Vocabulary:
      return shape.vocabulary;
    case GgufExtent::Experts:
      return shape.experts;
  }
  return 0;
}

[[noreturn]] void fail(ErrorKind kind,
                       std::string_view tensor,
                       const std::string& what) {
  throw Error(kind,
              fmt::format("GGUF tensor {}: {}", quoted_name(tensor), what));
}

void check_shape(const GgufModelShape& shape,
                 const GgufTensorRow& row,
                 const GgufTensor& tensor,
                 GgufBias bias,
                 bool all_experts) {
  const std::int64_t rows = extent_of(shape, row.rows);
  Shape expected = bias != GgufBias::None || row.columns == GgufExtent::None
                       ? Shape{rows}
                       : Shape{rows, extent_of(shape, row.columns)};
  if (all_experts) expected.insert(expected.begin(), shape.experts);
  if (tensor.shape != expected) {
    fail(ErrorKind::Input,
         tensor.name,
         fmt::format("shape: expected {}, found {}",
                     to_string(expected),
                     to_string(tensor.shape)));
  }
}

std::string expert_name(const GgufLayout& layout,
                        const GgufTensorRow& row,
                        std::int64_t layer,
                        std::int64_t expert) {
  return fmt::format("model.layers.{}.{}{}.{}.weight",
                     layer,
                     layout.experts,
                     expert,
                     row.name);
}

// The matrices of the experts of a layer.
void map_experts(const GgufLayout& layout,
                 const GgufTensorRow& row,
                 const GgufTensor& tensor,
                 std::int64_t layer,
                 const GgufModelTensor& whole,
                 std::vector<GgufModelTensor>& out) {
  const Shape matrix(tensor.shape.begin() + 1, tensor.shape.end());
  for (std::int64_t e = 0; e < tensor.shape[0]; ++e) {
    GgufModelTensor one = whole;
    one.name = expert_name(layout, row, layer, e);
    one.shape = matrix;
    one.first_row = e * matrix[0];
    out.push_back(std::move(one));
  }
}

void map_tensor(const GgufTensor& tensor,
                std::size_t source,
                GgufModelShape& shape,
                std::vector<GgufModelTensor>& out) {
  const GgufLayout& layout = gguf_layout(shape.architecture, shape.experts);
  const GgufTensorName parts = split_gguf_name(tensor.name);
  const GgufTensorRow* row = find_gguf_row(layout, parts);
  const bool biased = row != nullptr && parts.suffix == "bias";
  if (row == nullptr || parts.layer >= shape.layers ||
      parts.expert >= shape.experts ||
      (parts.suffix != "weight" && !(biased && row->bias != GgufBias::None))) {
    fail(ErrorKind::Usage,
         tensor.name,
         fmt::format("no tensor of a {} that this version converts",
                     layout.called));
  }
  const GgufBias bias = biased ? row->bias : GgufBias::None;
  const bool all_experts = !row->one_expert.empty() && parts.expert < 0;
  check_shape(shape, *row, tensor, bias, all_experts);
  if (row->interleaved && biased && is_quantized(*tensor.type)) {
    fail(ErrorKind::Usage, tensor.name, "a quantized bias is not converted");
  }
  if (bias == GgufBias::Attention) shape.attention_bias = true;
  if (bias == GgufBias::Mlp) shape.mlp_bias = true;
  const std::string layer =
      parts.layer < 0 ? "" : fmt::format("model.layers.{}.", parts.layer);
  GgufModelTensor mapped{
      .source = source,
      .name = fmt::format("{}{}.{}", layer, row->name, parts.suffix),
      .shape = tensor.shape};
  if (row->interleaved) mapped.interleaved = shape.head_dim;
  if (all_experts) {
    return map_experts(layout, *row, tensor, parts.layer, mapped, out);
  }
  if (parts.expert >= 0) {
    mapped.name = expert_name(layout, *row, parts.layer, parts.expert);
  }
  out.push_back(std::move(mapped));
}

void require(const std::unordered_set<std::string_view>& names,
             const std::string& name) {
  if (!names.contains(name)) fail(ErrorKind::Input, name, "missing");
}

void require_row(const std::unordered_set<std::string_view>& names,
                 const std::string& stem,
                 const GgufTensorRow& row,
                 const GgufModelShape& shape) {
  require(names, stem + ".weight");
  const bool biased =
      (row.bias == GgufBias::Attention && shape.attention_bias) ||
      (row.bias == GgufBias::Mlp && shape.mlp_bias);
  // Transformers' Llama has a bias on all of them or on none.
  if (biased && !names.contains(stem + ".bias")) {
    fail(ErrorKind::Usage,
         stem + ".bias",
         "missing, while others of its kind have a bias; such models are "
         "not converted");
  }
}

// All experts of a layer in one tensor, or each in its own.
void require_experts(const std::unordered_set<std::string_view>& names,
                     std::int64_t layer,
                     const GgufTensorRow& row,
                     std::int64_t experts) {
  const auto all = fmt::format("blk.{}.{}.weight", layer, row.stored);
  const bool fused = names.contains(all);
  std::optional<std::string> missing;
  bool any = false;
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto one =
        fmt::format("blk.{}.{}.{}.weight", layer, row.one_expert, e);
    const bool there = names.contains(one);
    if (there && fused) {
      fail(ErrorKind::Input,
           one,
           fmt::format("{} holds this expert too", quoted_name(all)));
    }
    any = any || there;
    if (!there && !missing) missing = one;
  }
  if (!fused && missing) {
    fail(ErrorKind::Input, any ? *missing : all, "missing");
  }
}

void require_all(const GgufFile& file, const GgufModelShape& shape) {
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : file.tensors()) names.insert(tensor.name);
  require(names, "token_embd.weight");
  require(names, "output_norm.weight");
  const GgufLayout& layout = gguf_layout(shape.architecture, shape.experts);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    for (const auto rows : {layout.attention, layout.feed_forward}) {
      for (const GgufTensorRow& row : rows) {
        if (!row.one_expert.empty()) {
          require_experts(names, layer, row, shape.experts);
          continue;
        }
        require_row(
            names, fmt::format("blk.{}.{}", layer, row.stored), row, shape);
      }
    }
  }
}

std::vector<float> read_floats(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<std::byte> raw(static_cast<std::size_t>(tensor.bytes));
  file.read(tensor, 0, raw);
  const std::int64_t blocks = tensor.bytes / tensor.type->block_bytes;
  std::vector<float> values(
      static_cast<std::size_t>(blocks * tensor.type->block_size));
  tensor.type->decode(raw.data(), blocks, values.data());
  return values;
}

}  // namespace

GgufModel read_gguf_model(const GgufFile& file) {
  GgufModel model;
  model.shape = read_gguf_model_keys(file.metadata());
  GgufModelShape& shape = model.shape;
  const GgufKeys keys(file.metadata(), name(shape.architecture));
  const auto& tensors = file.tensors();
  // So that a loop over a claimed number of layers is bounded by the file.
  if (shape.layers > static_cast<std::int64_t>(tensors.size())) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key {}: {} layers, the file has {} tensors",
                            quoted_name(keys.spelled("block_count")),
                            shape.layers,
                            tensors.size()));
  }
  for (const GgufTensor& tensor : tensors) {
    if (tensor.name == "token_embd.weight" && tensor.shape.size() == 2) {
      shape.vocabulary = tensor.shape[0];
    }
    if (tensor.name == "output.weight") shape.tied = false;
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    // llama.cpp applies such factors to a Llama only.
    if (shape.architecture == GgufArchitecture::Llama &&
        tensors[i].name == "rope_freqs.weight") {
      if (tensors[i].shape.size() != 1) {
        fail(ErrorKind::Input, tensors[i].name, "expected one dimension");
      }
      apply_rope_factors(
          read_floats(file, tensors[i]), shape.head_dim, shape.rope);
    } else {
      map_tensor(tensors[i], i, shape, model.tensors);
    }
  }
  require_all(file, shape);
  if (shape.experts > 0 && shape.attention_bias) {
    throw Error(ErrorKind::Usage,
                "GGUF: biases of attention beside experts, which Mixtral does "
                "not have; such models are not converted");
  }
  const auto claimed = keys.integer("vocab_size");
  if (claimed && *claimed != shape.vocabulary) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key {}: expected {} (rows of "
                            "token_embd.weight), found {}",
                            quoted_name(keys.spelled("vocab_size")),
                            shape.vocabulary,
                            *claimed));
  }
  return model;
}

}  // namespace mantissa
