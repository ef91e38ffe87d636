#include "checkpoint/weight_sensitivity.h"

#include <cctype>
#include <map>
#include <string>
#include <string_view>

namespace mantissa {
namespace {

struct KindRow {
  std::string_view word;  ///< in the name
  double sensitivity;     ///< of all layers together
};

// Names of Hugging Face classes; GGUF files are read under these too.
constexpr KindRow kKinds[] = {
    {".q_proj.", 1.65},
    {".k_proj.", 1.41},
    {".v_proj.", 4.59},
    {".o_proj.", 1.59},
    {".gate_proj.", 2.22},
    {".up_proj.", 4.59},
    {".down_proj.", 5.67},
};
constexpr double kOtherKind = 3.0;  // about the mean of the rows above

// The head turns its error into the output's at once.
constexpr double kHead = 7.78;
constexpr double kEmbedding = 0.43;
constexpr double kTied = 8.24;  // one matrix for both

// The name with every number replaced: equal for the layers of one kind.
std::string without_numbers(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!digit) {
      out += c;
    } else if (out.empty() || out.back() != '#') {
      out += '#';
    }
  }
  return out;
}

double kind_sensitivity(std::string_view name) {
  for (const KindRow& row : kKinds) {
    if (name.find(row.word) != name.npos) return row.sensitivity;
  }
  return kOtherKind;
}

}  // namespace

std::vector<double> weight_sensitivities(
    std::span<const LoadingTensor* const> tensors) {
  std::map<std::string, double> layers;
  bool head = false;
  for (const LoadingTensor* tensor : tensors) {
    layers[without_numbers(tensor->name)] += 1;
    head |= tensor->role == TensorRole::Head && !tensor->tied;
  }
  std::vector<double> out;
  for (const LoadingTensor* tensor : tensors) {
    if (tensor->role == TensorRole::Head) {
      out.push_back(kHead);
    } else if (tensor->role == TensorRole::Embedding) {
      out.push_back(head ? kEmbedding : kTied);
    } else {
      out.push_back(kind_sensitivity(tensor->name) /
                    layers[without_numbers(tensor->name)]);
    }
  }
  return out;
}

}  // namespace mantissa
