#include "formats/compressed_activations.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const char* member, const std::string& found) {
  throw Error(
      ErrorKind::Usage,
      fmt::format("config_groups: {} is {}; products are run with "
                  "input_activations of 8 bits, int (symmetric or not) or "
                  "float (symmetric), dynamic per token, tensor or group, or "
                  "static per tensor; mantissa convert --format plain gives "
                  "the weights without them",
                  member,
                  found));
}

// A member that may be absent or null.
Json member(const Json& args, const char* key, Json otherwise) {
  const auto found = args.find(key);
  return found == args.end() || found->is_null() ? otherwise : *found;
}

std::string shown(const Json& json) {
  return quoted_name(json.is_string() ? json.get<std::string>()
                                      : json.dump().substr(0, 60));
}

bool flag(const Json& args, const char* key, bool otherwise) {
  const Json value = member(args, key, otherwise);
  if (!value.is_boolean()) {
    fail(fmt::format("input_activations.{}", key).c_str(), shown(value));
  }
  return value.get<bool>();
}

// Members of compressed-tensors' QuantizationArgs. What observes while scales
// are calibrated does not matter to a product.
constexpr std::string_view kMembers[] = {"num_bits",
                                         "type",
                                         "symmetric",
                                         "group_size",
                                         "strategy",
                                         "block_structure",
                                         "dynamic",
                                         "actorder",
                                         "scale_dtype",
                                         "zp_dtype",
                                         "observer",
                                         "observer_kwargs"};

void check_members(const Json& args, bool symmetric) {
  for (const auto& [key, value] : args.items()) {
    if (std::ranges::find(kMembers, key) == std::end(kMembers)) {
      fail(fmt::format("input_activations.{}", printable(key)).c_str(),
           shown(value));
    }
  }
  for (const char* key : {"scale_dtype", "block_structure", "actorder"}) {
    const Json value = member(args, key, nullptr);
    if (!value.is_null()) {
      fail(fmt::format("input_activations.{}", key).c_str(), shown(value));
    }
  }
  const Json zero_point = member(args, "zp_dtype", nullptr);
  if (!symmetric && !zero_point.is_null() && zero_point != "torch.int8") {
    fail("input_activations.zp_dtype", shown(zero_point));
  }
}

// The strategy that a size alone stands for: groups; -1 is a scale for each
// column, which no product has.
ActivationStrategy strategy_of(const Json& args, const Json& group_size) {
  const bool sized = group_size.is_number() && group_size != 0;
  const bool groups = sized && group_size > 0;
  const Json strategy = member(args,
                               "strategy",
                               groups  ? "group"
                               : sized ? "channel"
                                       : "tensor");
  if (groups && strategy != "group") {
    fail("input_activations.group_size",
         fmt::format(
             "{} with the strategy {}", shown(group_size), shown(strategy)));
  }
  if (strategy == "token") return ActivationStrategy::Token;
  if (strategy == "tensor") return ActivationStrategy::Tensor;
  if (strategy == "group") return ActivationStrategy::Group;
  fail("input_activations.strategy", shown(strategy));
}

}  // namespace

std::optional<CompressedActivations> compressed_activations(
    const CompressedSpec& spec) {
  if (!spec.output_activations.empty()) fail("output_activations", "set");
  if (spec.input_activations.empty()) return std::nullopt;
  const Json args = Json::parse(spec.input_activations);
  CompressedActivations out;
  const Json bits = member(args, "num_bits", 8);
  if (bits != 8) fail("input_activations.num_bits", shown(bits));
  const Json type = member(args, "type", "int");
  if (type != "int" && type != "float") {
    fail("input_activations.type", shown(type));
  }
  out.floating = type == "float";
  out.symmetric = flag(args, "symmetric", true);
  if (out.floating && !out.symmetric) {
    fail("input_activations.symmetric", "false for float");
  }
  out.dynamic = flag(args, "dynamic", false);
  check_members(args, out.symmetric);
  const Json group_size = member(args, "group_size", 0);
  out.strategy = strategy_of(args, group_size);
  if (out.strategy == ActivationStrategy::Group) {
    if (!group_size.is_number_integer() || group_size < 1 ||
        group_size > INT32_MAX) {
      fail("input_activations.group_size", shown(group_size));
    }
    out.group_size = group_size.get<std::int64_t>();
  }
  if (!out.dynamic && out.strategy != ActivationStrategy::Tensor) {
    fail("input_activations.dynamic",
         "false with a strategy other than tensor");
  }
  return out;
}

}  // namespace mantissa
