#include "torch/models/model_weights.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ATen/ops/equal.h>
#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/torch/quantized_tensor.h>

#include "core/process_memory.h"
#include "core/quoted.h"
#include "formats/fused_tensor.h"
#include "torch/models/config_fields.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

// Values of weights whose temporaries may stay in the process's memory.
constexpr std::int64_t kPackedAtOnce = 1 << 22;

// The stored weights of a parameter: one, or both sides of a tie.
std::vector<const CheckpointWeight*> stored(const Parameter& parameter,
                                            const CheckpointWeights& weights) {
  std::vector<const CheckpointWeight*> out;
  for (const ParameterPlace& place : parameter.places) {
    const CheckpointWeight* weight = weights.find(place.name());
    if (weight != nullptr && !weight->tied) out.push_back(weight);
  }
  return out;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) {
    out += (i == 0 ? "" : ", ") + printable(names[i]);
  }
  if (names.size() > kShown) {
    out += fmt::format(" and {} more", names.size() - kShown);
  }
  return out;
}

void check_weight(const CheckpointWeight& weight,
                  const at::Tensor& parameter,
                  const std::string& label) {
  if (weight.shape != shape_of(parameter)) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: tensor {}: config.json asks for shape {}, the "
                            "file has {}; {}",
                            label,
                            quoted_name(weight.name),
                            to_string(shape_of(parameter)),
                            to_string(weight.shape),
                            kOtherConfig));
  }
  if (is_high_precision(weight.dtype)) return;
  throw Error(ErrorKind::Usage,
              fmt::format("{}: tensor {}: dtype {} is not supported; "
                          "supported: float32, bfloat16, float16 and quantized "
                          "tensors",
                          label,
                          quoted_name(weight.name),
                          name(weight.dtype)));
}

[[noreturn]] void refuse_names(const std::string& label,
                               const std::vector<std::string>& missing,
                               const std::vector<std::string>& unexpected) {
  std::string what;
  if (!missing.empty()) {
    what = fmt::format(": {} that config.json asks for {} missing: {}",
                       missing.size() == 1
                           ? "a tensor"
                           : fmt::format("{} tensors", missing.size()),
                       missing.size() == 1 ? "is" : "are",
                       listed(missing));
  }
  if (!unexpected.empty()) {
    what += fmt::format("{} {} that config.json does not explain: {}",
                        what.empty() ? ":" : ";",
                        unexpected.size() == 1
                            ? "a tensor"
                            : fmt::format("{} tensors", unexpected.size()),
                        listed(unexpected));
  }
  throw Error(ErrorKind::Input, label + what);
}

// The embedding or the output head of a decoder, which take any dtype.
bool is_token_table(std::string_view name) {
  return name == "model.embed_tokens.weight" || name == "lm_head.weight";
}

bool is_token_table(const Parameter& parameter) {
  return std::ranges::any_of(parameter.places, [](const ParameterPlace& place) {
    return is_token_table(place.name());
  });
}

// Both sides of a tie that the file stores are one tensor here.
void require_equal(const CheckpointWeights& weights,
                   const CheckpointWeight& kept,
                   const CheckpointWeight& other) {
  if (at::equal(weights.read_values(kept), weights.read_values(other))) return;
  throw Error(ErrorKind::Input,
              fmt::format("config.json ties {} to {}, and the file has "
                          "different values for them; set tie_word_embeddings "
                          "to false to use both",
                          quoted_name(other.name),
                          quoted_name(kept.name)));
}

}  // namespace

CheckpointWeights open_weights(const std::filesystem::path& path,
                               c10::ScalarType dtype,
                               GgufBlocks blocks) {
  return CheckpointWeights(open_checkpoint(path, {.dtype = dtype_of(dtype)}),
                           blocks);
}

std::string decoding_reason(const CheckpointWeight& weight,
                            Int8Compute int8,
                            c10::Device device) {
  if (weight.encoding == nullptr) return weight.decoded;
  const Encoding& matrix = one_matrix(*weight.encoding);
  if (names_int8_rows(matrix)) return {};
  if (!device.is_cpu()) return "it is not on the CPU";
  if (int8 == Int8Compute::None) return "its values were asked for";
  return packing_refusal(*weight.encoding, int8);
}

std::int64_t loaded_bytes(const CheckpointWeight& weight,
                          c10::ScalarType dtype,
                          Int8Compute int8) {
  const bool packs = int8 != Int8Compute::None;
  if (weight.encoding != nullptr) {
    return packs && packing_refusal(*weight.encoding, int8).empty()
               ? LowbitWeight::most_bytes(*weight.encoding)
               : weight.bytes;
  }
  if (packs && dtype == at::kFloat && weight.dtype == DType::BFloat16 &&
      is_token_table(weight.name)) {
    return weight.bytes;
  }
  return numel(weight.shape) *
         static_cast<std::int64_t>(c10::elementSize(dtype));
}

void check_names(torch::nn::Module& module,
                 const CheckpointWeights& weights,
                 const std::string& label,
                 const std::string& ignored_prefix) {
  std::unordered_map<std::string_view, bool> used;
  std::vector<std::string> missing;
  for (const Parameter& parameter : parameters_of(module)) {
    const auto found = stored(parameter, weights);
    if (found.empty()) missing.push_back(parameter.places.front().name());
    for (const CheckpointWeight* weight : found) {
      check_weight(*weight, parameter.tensor, label);
      used[weight->name] = true;
    }
  }
  std::vector<std::string> unexpected;
  for (const CheckpointWeight& weight : weights.weights()) {
    const bool ignored =
        weight.tied || weight.role == TensorRole::Position ||
        (!ignored_prefix.empty() && weight.name.starts_with(ignored_prefix));
    if (!ignored && !used.contains(weight.name)) {
      unexpected.push_back(weight.name);
    }
  }
  if (missing.empty() && unexpected.empty()) return;
  refuse_names(label, missing, unexpected);
}

void load_parameters(torch::nn::Module& module,
                     const CheckpointWeights& weights,
                     c10::ScalarType dtype,
                     c10::Device device,
                     Int8Compute int8) {
  std::int64_t packed = 0;
  for (const Parameter& parameter : parameters_of(module)) {
    const auto found = stored(parameter, weights);
    const CheckpointWeight& kept = *found.front();
    for (std::size_t i = 1; i < found.size(); ++i) {
      require_equal(weights, kept, *found[i]);
    }
    at::Tensor value = weights.read(kept);
    // A table for tokens is read once a token: in its own dtype.
    const bool table =
        int8 != Int8Compute::None && dtype == at::kFloat && device.is_cpu() &&
        value.scalar_type() == at::kBFloat16 && is_token_table(parameter);
    if (!table) value = value.to(dtype);
    value = value.to(device);
    if (int8 != Int8Compute::None && packing_refusal(value, int8).empty()) {
      value = packed_weight(value, int8);
      // Packed weights lie elsewhere than what they were made from.
      packed += value.numel();
      if (packed >= kPackedAtOnce) {
        give_back_free_memory();
        packed = 0;
      }
    }
    for (const ParameterPlace& place : parameter.places) place.put(value);
  }
}

}  // namespace mantissa
