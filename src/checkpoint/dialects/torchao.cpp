#include "checkpoint/dialects/torchao.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/formats/registry.h>

#include "checkpoint/plan.h"
#include "configs/fields.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

class TorchaoDialect final : public Dialect {
 public:
  std::string_view name() const override { return "torchao"; }

  // A scheme of another dialect has no class of torchao.
  WeightChoice stored_form(WeightChoice choice) const override {
    if (choice.encoding == nullptr ||
        find_format(choice.encoding->format_name()) != nullptr) {
      return choice;
    }
    return {nullptr,
            fmt::format("{} is no format of torchao",
                        choice.encoding->format_name()),
            "--format compressed-tensors writes it"};
  }

  ConfigPtr equivalent_config(const Encoding& encoding,
                              bool zero_points) const override {
    return torchao_config_of(encoding, zero_points);
  }

  std::string field_name(std::string_view tensor,
                         std::string_view field) const override {
    return torchao_field_name(tensor, field);
  }

  LoaderNote loader_note(const Encoding& encoding) const override {
    return torchao_loader_note(encoding);
  }

  // Transformers resolves the recorded FqnToConfig in its own order, and in
  // another once it has saved it.
  void check_plan(const PlanRequest& request, Plan& plan) const override {
    if (request.rules == nullptr || request.rules->rules().empty()) return;
    const std::vector<std::string> names = names_of_matrices(plan);
    for (const KeyOrder order : {KeyOrder::Written, KeyOrder::Sorted}) {
      std::ranges::move(ordering_warnings(*request.rules, names, order),
                        std::back_inserter(plan.warnings));
    }
  }

  // A tied head has an entry although the file lacks it, as Transformers
  // writes it.
  std::map<std::string, std::string> metadata(const Plan& plan) const override {
    TorchaoMetadata out;
    for (const PlannedTensor& planned : plan.tensors) {
      if (is_encoded(planned)) {
        out.add(planned.tensor.name, planned.encoding.get());
        continue;
      }
      if (planned.action == Action::Tie) out.add(planned.tensor.name, nullptr);
      for (const FileTensor& file : planned.outputs) {
        out.add(file.name, nullptr);
      }
    }
    return out.finish();
  }

  // The keys that Transformers writes; loading goes by the files' metadata
  // alone.
  Json quantization_config(const Plan&, const Config* recorded) const override {
    if (recorded == nullptr) return nullptr;
    Json out;
    out["quant_method"] = name();
    out["quant_type"]["default"] = config_object(*recorded);
    out["modules_to_not_convert"] = nullptr;
    out["include_input_output_embeddings"] = false;
    out["untie_embedding_weights"] = false;
    return out;
  }

  bool recognizes(const CheckpointSource& source) const override {
    return is_torchao_metadata(source.metadata());
  }

  std::unique_ptr<DialectCheckpoint> open(
      const CheckpointSource& source) const override {
    return std::make_unique<TorchaoCheckpoint>(source);
  }

  std::vector<Finding> verify_config(
      const Json& quantization,
      std::span<const LogicalTensor* const> quantized) const override {
    return verify_torchao_config(quantization, quantized);
  }
};

}  // namespace

const Dialect& torchao_dialect() {
  static const TorchaoDialect kDialect;
  return kDialect;
}

}  // namespace mantissa
