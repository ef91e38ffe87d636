#include <mantissa/torch/quantize.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <c10/util/Exception.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>

#include <mantissa/configs/fqn_to_config.h>

#include "torch/quantize/module_parameters.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using torch::nn::Module;

// What will be done with one parameter.
struct Decision {
  Parameter parameter;
  QuantizedParameter report;
  at::Tensor replacement = {};
};

// Linears that torch::nn::MultiheadAttention reads itself.
std::set<const Module*> attention_projections(const Module& root) {
  std::set<const Module*> found;
  const auto look = [&](const Module& module) {
    const auto* attention =
        dynamic_cast<const torch::nn::MultiheadAttentionImpl*>(&module);
    if (attention != nullptr) found.insert(attention->out_proj.get());
  };
  look(root);
  for (const auto& item : root.named_modules("", /*include_self=*/false)) {
    look(*item.value());
  }
  return found;
}

class Quantizer {
 public:
  Quantizer(Module& root,
            const ConfigPtr& config,
            const QuantizeOptions& options)
      : root_(root),
        options_(options),
        rules_(make_rule_set(config)),
        projections_(attention_projections(root)) {}

  QuantizeReport run() {
    std::vector<Decision> decisions;
    for (Parameter& parameter : parameters_of(root_)) {
      decisions.push_back(decide(std::move(parameter)));
    }
    require_matches(decisions);
    find_other_holders(decisions);
    if (options_.strict) require_complete(decisions);
    // Nothing below throws.
    QuantizeReport report;
    for (Decision& decision : decisions) {
      if (decision.replacement.defined()) {
        for (const ParameterPlace& place : decision.parameter.places) {
          place.put(decision.replacement);
        }
      }
      report.parameters.push_back(std::move(decision.report));
    }
    return report;
  }

 private:
  Decision decide(Parameter parameter) const {
    Decision out;
    out.parameter = std::move(parameter);
    const auto& places = out.parameter.places;
    const at::Tensor& tensor = out.parameter.tensor;
    QuantizedParameter& report = out.report;
    report.name = places.front().name();
    for (std::size_t i = 1; i < places.size(); ++i) {
      report.tied.push_back(places[i].name());
    }
    const auto [config, why] = config_of(places);
    report.reason = why;
    if (config == nullptr) return out;
    if (is_wrapped(tensor)) {
      report.reason = "is quantized already: " + describe(tensor);
      return out;
    }
    encode(*config, out);
    return out;
  }

  // The first name of a tied parameter that a rule speaks of decides.
  std::pair<ConfigPtr, std::string> config_of(
      const std::vector<ParameterPlace>& places) const {
    for (const ParameterPlace& place : places) {
      const RuleDecision decision = rules_.decide(place.name());
      if (!decision.explicit_rule) continue;
      if (!decision.by_parameter && place.key != "weight") continue;
      const std::string& origin = rules_.rules()[decision.rule].rule.origin;
      return {decision.config,
              decision.config == nullptr ? "kept by " + origin : origin};
    }
    const ConfigPtr& base = rules_.base();
    if (base == nullptr) return {nullptr, "no rule applies"};
    const ParameterPlace& place = places.front();
    if (place.key != "weight") return {nullptr, "not a weight"};
    if (!passes_filter(place)) {
      return {nullptr,
              options_.filter ? "the filter leaves it" : "not of a Linear"};
    }
    return {base, std::string(base->type())};
  }

  bool passes_filter(const ParameterPlace& place) const {
    if (options_.filter) {
      return options_.filter(*place.module, place.module_name);
    }
    return dynamic_cast<const torch::nn::LinearImpl*>(place.module) !=
               nullptr &&
           !projections_.contains(place.module);
  }

  void encode(const Config& config, Decision& out) const {
    const at::Tensor& tensor = out.parameter.tensor;
    QuantizedParameter& report = out.report;
    const auto skip = [&report](const std::string& reason) {
      report.action = ParameterAction::Skipped;
      report.reason = reason;
    };
    if (tensor.dim() < 2 || !tensor.is_floating_point()) {
      skip(c10::str(
          tensor.sizes(), " ", tensor.scalar_type(), " is not a float matrix"));
      return;
    }
    if (tensor.numel() == 0) {
      skip(c10::str("it has no elements: ", tensor.sizes()));
      return;
    }
    WeightChoice choice =
        config.choose(shape_of(tensor), dtype_of(tensor.scalar_type()));
    if (choice.encoding == nullptr) {
      skip(choice.refusal +
           (choice.remedy.empty() ? "" : ". Remedy: " + choice.remedy));
      return;
    }
    at::Tensor quantized = to_quantized_tensor(tensor, choice.encoding);
    if (options_.device) quantized = quantized.to(*options_.device);
    report.action = ParameterAction::Quantized;
    report.format = choice.encoding->format_name();
    report.bytes_before = static_cast<std::int64_t>(tensor.nbytes());
    report.bytes_after = stored_bytes(*choice.encoding);
    out.replacement = std::move(quantized);
  }

  // A typo in a rule is an error, as in the tool.
  void require_matches(const std::vector<Decision>& decisions) const {
    std::vector<bool> matched(rules_.rules().size());
    for (const Decision& decision : decisions) {
      for (const ParameterPlace& place : decision.parameter.places) {
        for (const std::size_t rule : rules_.matching_rules(place.name())) {
          matched[rule] = true;
        }
      }
    }
    for (std::size_t i = 0; i < matched.size(); ++i) {
      TORCH_CHECK_VALUE(matched[i],
                        "quantize_: ",
                        rules_.rules()[i].rule.origin,
                        " matches no parameter and no module");
    }
  }

  // A tensor member of the user's own class keeps the old tensor.
  static void find_other_holders(std::vector<Decision>& decisions) {
    for (Decision& decision : decisions) {
      if (!decision.replacement.defined() ||
          !decision.parameter.held_elsewhere()) {
        continue;
      }
      decision.report.action = ParameterAction::RegistryOnly;
      decision.report.reason =
          "somebody still holds the plain tensor (a member of the module's "
          "class, an optimizer); mantissa::replace_parameter(module, member, "
          "tensor) replaces a member";
    }
  }

  static void require_complete(const std::vector<Decision>& decisions) {
    std::string wrong;
    for (const Decision& decision : decisions) {
      const ParameterAction action = decision.report.action;
      if (action != ParameterAction::Skipped &&
          action != ParameterAction::RegistryOnly) {
        continue;
      }
      wrong += "\n" + decision.report.name + ": " + decision.report.reason;
    }
    TORCH_CHECK_VALUE(wrong.empty(), "quantize_: nothing was changed:", wrong);
  }

  Module& root_;
  const QuantizeOptions& options_;
  RuleSet rules_;
  std::set<const Module*> projections_;
};

}  // namespace

std::string_view name(ParameterAction action) {
  switch (action) {
    case ParameterAction::Quantized:
      return "quantized";
    case ParameterAction::Kept:
      return "kept";
    case ParameterAction::Skipped:
      return "skipped";
    case ParameterAction::RegistryOnly:
      return "registry only";
  }
  return "";
}

std::int64_t QuantizeReport::count(ParameterAction action) const {
  return std::ranges::count(parameters, action, &QuantizedParameter::action);
}

std::string QuantizeReport::text() const {
  std::string out;
  std::int64_t before = 0;
  std::int64_t after = 0;
  for (const QuantizedParameter& p : parameters) {
    before += p.bytes_before;
    after += p.bytes_after;
    if (p.action == ParameterAction::Kept) continue;
    out += c10::str(p.name, ": ", std::string(name(p.action)), " ", p.format);
    out += ": " + p.reason + "\n";
  }
  return out + c10::str(count(ParameterAction::Quantized) +
                            count(ParameterAction::RegistryOnly),
                        " quantized (",
                        before,
                        " to ",
                        after,
                        " bytes), ",
                        count(ParameterAction::Kept),
                        " kept, ",
                        count(ParameterAction::Skipped),
                        " skipped\n");
}

QuantizeReport quantize_(Module& module,
                         ConfigPtr config,
                         const QuantizeOptions& options) {
  TORCH_CHECK_VALUE(config != nullptr, "quantize_: config: got none");
  return with_torch_errors([&] {
    config->validate();
    return Quantizer(module, config, options).run();
  });
}

std::int64_t dequantize_(Module& module) {
  std::vector<std::pair<Parameter, at::Tensor>> found;
  for (Parameter& parameter : parameters_of(module)) {
    if (!is_wrapped(parameter.tensor)) continue;
    at::Tensor plain = mantissa::dequantize(parameter.tensor).detach();
    plain.set_requires_grad(parameter.tensor.requires_grad());
    found.emplace_back(std::move(parameter), std::move(plain));
  }
  for (const auto& [parameter, plain] : found) {
    for (const ParameterPlace& place : parameter.places) place.put(plain);
  }
  return static_cast<std::int64_t>(found.size());
}

void replace_parameter(Module& module, at::Tensor& member, at::Tensor tensor) {
  for (const ParameterPlace& place : places_of(module, "")) {
    if (!place.entry().is_same(member)) continue;
    place.put(tensor);
    member = std::move(tensor);
    return;
  }
  TORCH_CHECK_VALUE(false,
                    "replace_parameter: member: it is no parameter of ",
                    module.name(),
                    "; register_parameter() makes it one");
}

std::shared_ptr<Module> clone_module(Module& module) {
  std::vector<Parameter> wrapped = parameters_of(module);
  std::erase_if(wrapped,
                [](const Parameter& p) { return !is_wrapped(p.tensor); });
  const auto put_back = [&wrapped] {
    for (const Parameter& parameter : wrapped) {
      for (const ParameterPlace& place : parameter.places) {
        place.put(parameter.tensor);
      }
    }
  };
  std::set<std::string> names;
  std::shared_ptr<Module> copy;
  try {
    for (const Parameter& parameter : wrapped) {
      const at::Tensor stand_in = at::empty({0});
      for (const ParameterPlace& place : parameter.places) place.put(stand_in);
    }
    copy = module.clone();
  } catch (...) {
    put_back();
    throw;
  }
  put_back();
  std::map<std::string, at::Tensor> clones;  // by each of their names
  for (const Parameter& parameter : wrapped) {
    at::Tensor clone = parameter.tensor.detach().clone();
    clone.set_requires_grad(parameter.tensor.requires_grad());
    for (const ParameterPlace& place : parameter.places) {
      clones.emplace(place.name(), clone);
    }
  }
  for (const Parameter& parameter : parameters_of(*copy)) {
    for (const ParameterPlace& place : parameter.places) {
      const auto found = clones.find(place.name());
      if (found != clones.end()) place.put(found->second);
    }
  }
  return copy;
}

}  // namespace mantissa
