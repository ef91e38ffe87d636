#include <cstdio>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/compressed_tensors.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kRegex = "re:";
// Of targets, and of ignore; together they bound time and memory.
constexpr std::size_t kMostExpressions = 2048;
constexpr std::size_t kLongestExpression = 4096;
constexpr std::int64_t kExpressionMemory = 128 << 10;
constexpr int kMostInstructions = 1 << 18;
constexpr int kDenseSince = 18;  // compressed-tensors 0.18

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Input, "config.json: quantization_config: " + what);
}

std::vector<std::string> texts(const Json& parent, const char* key) {
  std::vector<std::string> out;
  const auto found = parent.find(key);
  if (found == parent.end() || found->is_null()) return out;
  if (!found->is_array())
    fail(fmt::format("{}: expected a list of names", key));
  for (const Json& text : *found) {
    if (!text.is_string()) {
      fail(fmt::format("{}: expected a list of names", key));
    }
    out.push_back(text.get<std::string>());
  }
  return out;
}

// A member that may be absent or null.
template <class T>
T value_or(const Json& parent, const char* key, T otherwise) {
  const auto found = parent.find(key);
  if (found == parent.end() || found->is_null()) return otherwise;
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(fmt::format("{}: got {}", key, quoted_name(found->dump())));
  }
}

// A 32-bit integer that may be absent or null.
std::int64_t integer_or(const Json& parent,
                        const char* key,
                        std::int64_t otherwise) {
  const auto found = parent.find(key);
  if (found == parent.end() || found->is_null()) return otherwise;
  const auto number = whole_number(*found);
  if (!number || *number < INT32_MIN || *number > INT32_MAX) {
    fail(fmt::format("{}: got {}", key, quoted_name(found->dump())));
  }
  return *number;
}

const std::map<std::string, CompressedFormat>& format_names() {
  static const std::map<std::string, CompressedFormat> kNames = {
      {"pack-quantized", CompressedFormat::PackQuantized},
      {"int-quantized", CompressedFormat::IntQuantized},
      {"float-quantized", CompressedFormat::FloatQuantized},
      {"naive-quantized", CompressedFormat::NaiveQuantized}};
  return kNames;
}

// The order in which compressed-tensors infers a format.
std::string inferred_format(const CompressedSpec& spec) {
  const bool activations = !spec.input_activations.empty();
  if (activations && !spec.floating) return "int-quantized";
  if (!spec.floating) return "pack-quantized";
  return activations ? "float-quantized" : "naive-quantized";
}

// "" or what is unknown about the weight arguments.
std::string read_weights(const Json& weights, CompressedSpec& spec) {
  spec.num_bits = static_cast<int>(integer_or(weights, "num_bits", 8));
  spec.symmetric = value_or(weights, "symmetric", true);
  const std::string type = value_or<std::string>(weights, "type", "int");
  spec.floating = type == "float";
  if (value_or<std::string>(weights, "observer", "") ==
      name(CompressedObserver::Mse)) {
    spec.observer = CompressedObserver::Mse;
  }
  spec.group_size = integer_or(weights, "group_size", 0);
  const std::string otherwise = spec.group_size > 0 ? "group" : "tensor";
  const std::string strategy =
      value_or<std::string>(weights, "strategy", otherwise);
  if (value_or<std::string>(weights, "scale_dtype", "").find("uint8") !=
      std::string::npos) {
    return "scale_dtype uint8 (MX) is not read by this version";
  }
  if (strategy == "tensor") {
    spec.strategy = CompressedStrategy::Tensor;
  } else if (strategy == "channel" || spec.group_size == -1) {
    spec.strategy = CompressedStrategy::Channel;
  } else if (strategy == "group") {
    spec.strategy = CompressedStrategy::Group;
  } else if (strategy == "block") {
    spec.strategy = CompressedStrategy::Block;
    const Json block = weights.value("block_structure", Json());
    const bool pair = block.is_array() && block.size() == 2;
    const auto rows = pair ? whole_number(block[0]) : std::nullopt;
    const auto columns = pair ? whole_number(block[1]) : std::nullopt;
    if (rows.value_or(0) < 1 || columns.value_or(0) < 1) {
      return "block_structure: expected [rows, columns]";
    }
    spec.block_rows = *rows;
    spec.block_columns = *columns;
  } else {
    return fmt::format("strategy {} is not read by this version",
                       quoted_name(strategy));
  }
  if (spec.strategy == CompressedStrategy::Group && spec.group_size < 1) {
    return fmt::format("group_size: expected at least 1, got {}",
                       spec.group_size);
  }
  return {};
}

// The arguments of a scheme's member as text; "" where there are none.
std::string arguments(const Json& scheme, const char* key) {
  const auto found = scheme.find(key);
  if (found == scheme.end() || found->is_null()) return {};
  if (!found->is_object()) {
    fail(
        fmt::format("config_groups: {}: expected an object of arguments or "
                    "null, got {}",
                    key,
                    quoted_name(found->dump().substr(0, 60))));
  }
  return found->dump();
}

CompressedGroup read_group(const Json& scheme, const std::string& whole) {
  if (!scheme.is_object()) fail("config_groups: expected objects");
  CompressedGroup group;
  group.targets = texts(scheme, "targets");
  group.spec.input_activations = arguments(scheme, "input_activations");
  group.spec.output_activations = arguments(scheme, "output_activations");
  if (arguments(scheme, "weights").empty()) {
    group.weights = false;
    group.refusal = "the scheme has no weights";
    return group;
  }
  group.refusal = read_weights(scheme["weights"], group.spec);
  std::string format = value_or<std::string>(scheme, "format", "");
  if (format.empty()) {
    format = whole.empty() || whole == "mixed-precision"
                 ? inferred_format(group.spec)
                 : whole;
  }
  const auto known = format_names().find(format);
  if (known == format_names().end()) {
    group.refusal = fmt::format(
        "format {} is not read by this version; read are pack-quantized, "
        "int-quantized, float-quantized and naive-quantized",
        quoted_name(format));
  } else {
    group.spec.format = known->second;
  }
  return group;
}

bool before_dense(const std::string& version) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(version.c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major == 0 && minor < kDenseSince;
}

}  // namespace

// Compiled once: a checkpoint has as many modules as it has names.
class CompressedGroups::Targets {
 public:
  // Of groups with the same target the last one has it.
  void add(const std::string& target, const CompressedGroup* group) {
    if (!target.starts_with(kRegex)) {
      exact_[target] = group;
      return;
    }
    if (const auto known = expressions_.find(target);
        known != expressions_.end()) {
      known->second.second = group;
      return;
    }
    if (expressions_.size() == kMostExpressions) {
      fail(fmt::format("more than {} expressions", kMostExpressions));
    }
    if (target.size() > kLongestExpression) {
      fail(fmt::format("the expression {} has {} bytes, expected at most {}",
                       quoted_name(target),
                       target.size(),
                       kLongestExpression));
    }
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kExpressionMemory);
    auto expression = std::make_unique<const RE2>(
        std::string_view(target).substr(kRegex.size()), options);
    if (!expression->ok()) {
      fail(fmt::format("the expression {} is not supported: {}",
                       quoted_name(target),
                       expression->error()));
    }
    instructions_ += expression->ProgramSize();
    if (instructions_ > kMostInstructions) {
      fail(
          fmt::format("the expression {} is too large together with the "
                      "others",
                      quoted_name(target)));
    }
    expressions_.try_emplace(target, std::move(expression), group);
  }

  // Exact names first, then expressions in the order of their text.
  const CompressedGroup* find(std::string_view module) const {
    const auto exact = exact_.find(std::string(module));
    if (exact != exact_.end()) return exact->second;
    for (const auto& [text, entry] : expressions_) {
      // As Python's re.match: at the start, open end.
      if (entry.first->Match(
              module, 0, module.size(), RE2::ANCHOR_START, nullptr, 0)) {
        return entry.second;
      }
    }
    return nullptr;
  }

 private:
  std::unordered_map<std::string, const CompressedGroup*> exact_;
  std::map<std::string,
           std::pair<std::unique_ptr<const RE2>, const CompressedGroup*>>
      expressions_;
  int instructions_ = 0;
};

CompressedGroups::CompressedGroups(const Json& quantization) {
  const auto groups = quantization.find("config_groups");
  if (groups == quantization.end() || !groups->is_object()) {
    fail("config_groups: expected an object of schemes");
  }
  const auto whole = value_or<std::string>(quantization, "format", "");
  for (const auto& [key, scheme] : groups->items()) {
    groups_.push_back(read_group(scheme, whole));
  }
  auto targets = std::make_shared<Targets>();
  for (const CompressedGroup& group : groups_) {
    for (const std::string& target : group.targets) {
      if (target == "Linear") linear_ = &group;
      targets->add(target, &group);
    }
  }
  // What is ignored has no group; any pointer that is not null says so.
  static const CompressedGroup kIgnored;
  auto ignored = std::make_shared<Targets>();
  for (const std::string& target : texts(quantization, "ignore")) {
    ignored->add(target, &kIgnored);
  }
  targets_ = std::move(targets);
  ignored_ = std::move(ignored);
  padded_version_ =
      before_dense(value_or<std::string>(quantization, "version", ""));
}

const CompressedGroup* CompressedGroups::named(std::string_view module) const {
  return targets_->find(module);
}

const CompressedGroup* CompressedGroups::find(std::string_view module) const {
  const CompressedGroup* found = named(module);
  return found == nullptr ? linear_ : found;
}

bool CompressedGroups::ignores(std::string_view module) const {
  return ignored_->find(module) != nullptr;
}

Json compressed_quantization(const std::string& config_json) {
  const auto config = parse_bounded_json(config_json);
  if (!config || !config->is_object()) return nullptr;
  const Json* parents[] = {&*config, nullptr};
  if (const auto text = config->find("text_config"); text != config->end()) {
    parents[1] = &*text;
  }
  for (const Json* parent : parents) {
    if (parent == nullptr || !parent->is_object()) continue;
    for (const char* key : {"quantization_config", "compression_config"}) {
      const auto found = parent->find(key);
      if (found == parent->end() || !found->is_object()) continue;
      if (found->value("quant_method", Json()) == "compressed-tensors" &&
          found->contains("config_groups")) {
        return *found;
      }
    }
  }
  return nullptr;
}

std::string unapplied_transforms(const std::string& config_json) {
  const Json quantization = compressed_quantization(config_json);
  if (quantization.is_null()) return {};
  const auto transforms = quantization.find("transform_config");
  if (transforms == quantization.end()) return {};
  const bool none =
      transforms->is_null() ||
      (transforms->is_object() &&
       transforms->value("config_groups", Json::object()).empty());
  if (none) return {};
  return "config.json: quantization_config: transform_config has schemes: the "
         "weights count with rotations that a loader applies around layers, "
         "which is not done here. Remedy: run it with vLLM, or start from the "
         "model that it was made of";
}

}  // namespace mantissa
