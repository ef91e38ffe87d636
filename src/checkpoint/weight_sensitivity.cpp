#include "checkpoint/weight_sensitivity.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

namespace mantissa {
namespace {

struct KindRow {
  std::string_view word;  ///< one part of the name
  double sensitivity;     ///< of all layers together
};

// Names of Hugging Face classes; GGUF files are read under these too.
constexpr KindRow kKinds[] = {
    {"q_proj", 1.65},
    {"k_proj", 1.41},
    {"v_proj", 4.59},
    {"o_proj", 1.59},
    {"gate_proj", 2.22},
    {"up_proj", 4.59},
    {"down_proj", 5.67},
    // Fused: the sum of their parts.
    {"qkv_proj", 1.65 + 1.41 + 4.59},
    {"gate_up_proj", 2.22 + 4.59},
};
constexpr double kOtherKind = 3.0;  // about the mean of single ones above

// The head turns its error into the output's at once.
constexpr double kHead = 7.78;
constexpr double kEmbedding = 0.43;
constexpr double kTied = 8.24;  // one matrix for both

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t dot = name.find('.');
    out.push_back(name.substr(0, dot));
    if (dot == name.npos) return out;
    name.remove_prefix(dot + 1);
  }
}

// The name with every number between dots replaced: equal for the layers of one
// kind.
std::string without_numbers(std::string_view name) {
  std::string out;
  for (const std::string_view part : parts_of(name)) {
    const bool number =
        part.find_first_not_of("0123456789") == part.npos && !part.empty();
    out += number ? "#" : part;
    out += '.';
  }
  return out;
}

double kind_sensitivity(std::string_view name) {
  const std::vector<std::string_view> parts = parts_of(name);
  for (const KindRow& row : kKinds) {
    if (std::ranges::find(parts, row.word) != parts.end()) {
      return row.sensitivity;
    }
  }
  return kOtherKind;
}

}  // namespace

std::vector<double> weight_sensitivities(
    std::span<const PlannedTensor> tensors) {
  std::map<std::string, double> layers;
  bool head = false;
  for (const PlannedTensor& planned : tensors) {
    layers[without_numbers(planned.tensor.name)] += 1;
    head |= planned.tensor.role == TensorRole::Head && !planned.tensor.tied;
  }
  std::vector<double> out;
  for (const PlannedTensor& planned : tensors) {
    const LoadingTensor& tensor = planned.tensor;
    if (tensor.role == TensorRole::Head) {
      out.push_back(kHead);
    } else if (tensor.role == TensorRole::Embedding) {
      out.push_back(head ? kEmbedding : kTied);
    } else {
      out.push_back(kind_sensitivity(tensor.name) /
                    layers[without_numbers(tensor.name)]);
    }
  }
  return out;
}

}  // namespace mantissa
