#include <optional>
#include <string>

#include <fmt/format.h>

#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/dialects/torchao.h"
#include "formats/compressed_activations.h"
#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Usage, what);
}

// Dynamic activations of a scheme; static ones have no config here.
struct Activations {
  bool present = false;
  bool symmetric = true;
  std::string strategy;
};

std::string strategy_name(const CompressedActivations& activations) {
  switch (activations.strategy) {
    case ActivationStrategy::Token:
      return "token";
    case ActivationStrategy::Group:
      return fmt::format("group({})", activations.group_size);
    case ActivationStrategy::Tensor:
      break;
  }
  return "tensor";
}

Activations activations_of(const CompressedSpec& spec) {
  if (!spec.output_activations.empty()) {
    fail("torchao's linears do not quantize output activations");
  }
  const std::optional<CompressedActivations> found =
      compressed_activations(spec);
  if (!found) return {};
  if (!found->dynamic) {
    fail("static activations need scales from a calibration");
  }
  if (found->floating != spec.floating) {
    fail(fmt::format("torchao has no 8-bit {} activations for these weights",
                     found->floating ? "float" : "int"));
  }
  return {true, found->symmetric, strategy_name(*found)};
}

std::string granularity_of(const CompressedSpec& spec) {
  switch (spec.strategy) {
    case CompressedStrategy::Tensor:
      return "per_tensor";
    case CompressedStrategy::Channel:
      return "per_row";
    case CompressedStrategy::Group:
      return fmt::format("per_group({})", spec.group_size);
    case CompressedStrategy::Block:
      break;
  }
  fail("torchao has no config for weights in blocks of rows");
}

std::string float8_words(const CompressedSpec& spec, const Activations& act) {
  if (!act.present)
    return "float8_weight_only:granularity=" + granularity_of(spec);
  const std::string config =
      "float8_dynamic_activation_float8_weight:granularity=";
  if (spec.strategy == CompressedStrategy::Channel && act.strategy == "token") {
    return config + "per_row";
  }
  if (spec.strategy == CompressedStrategy::Tensor && act.strategy == "tensor") {
    return config + "per_tensor";
  }
  if (spec.strategy == CompressedStrategy::Block && spec.block_rows == 128 &&
      spec.block_columns == 128 && act.strategy == "group(128)") {
    return config + "[per_block([1,128]),per_block([128,128])]";
  }
  fail(
      fmt::format("torchao has no float8 config with {} weights and {} "
                  "activations",
                  name(spec.strategy),
                  act.strategy));
}

std::string int8_words(const CompressedSpec& spec, const Activations& act) {
  if (!act.present)
    return "int8_weight_only:granularity=" + granularity_of(spec);
  const bool rows = spec.strategy == CompressedStrategy::Channel;
  if (!(rows && act.strategy == "token") &&
      !(spec.strategy == CompressedStrategy::Tensor &&
        act.strategy == "tensor")) {
    fail(
        fmt::format("torchao has no int8 config with {} weights and {} "
                    "activations",
                    name(spec.strategy),
                    act.strategy));
  }
  return fmt::format(
      "int8_dynamic_activation_int8_weight:granularity={},act_mapping_type={}",
      rows ? "per_row" : "per_tensor",
      act.symmetric ? "SYMMETRIC" : "ASYMMETRIC");
}

std::string intx_words(const CompressedSpec& spec,
                       const Activations& act,
                       bool zero_points) {
  if (spec.strategy == CompressedStrategy::Tensor) {
    fail("torchao's codes of 1 to 7 bits have scales per group or row");
  }
  const std::string blocks = spec.strategy == CompressedStrategy::Channel
                                 ? "per_axis(0)"
                                 : granularity_of(spec);
  const char* mapping = zero_points ? "ASYMMETRIC" : "SYMMETRIC";
  if (!act.present) {
    return fmt::format(
        "intx_weight_only:weight_dtype=int{},granularity={},mapping_type={}",
        spec.num_bits,
        blocks,
        mapping);
  }
  if (act.symmetric || act.strategy != "token") {
    fail(
        "torchao's activations beside codes of 1 to 7 bits are asymmetric per "
        "token");
  }
  return fmt::format(
      "int8_dynamic_activation_intx_weight:weight_dtype=int{},"
      "weight_granularity={},weight_mapping_type={}",
      spec.num_bits,
      blocks,
      mapping);
}

}  // namespace

ConfigPtr torchao_config_of(const Encoding& encoding, bool zero_points) {
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  if (compressed == nullptr) fail("it is torchao's already");
  const CompressedSpec& spec = compressed->spec();
  const Activations act = activations_of(spec);
  const bool rows = spec.strategy != CompressedStrategy::Group;
  const bool int8 =
      spec.num_bits == 8 && !zero_points && (!act.present || rows);
  const bool dynamic_int8 = spec.num_bits == 8 && act.present && rows;
  if (spec.floating) return parse_config_words(float8_words(spec, act));
  return parse_config_words(int8 || dynamic_int8
                                ? int8_words(spec, act)
                                : intx_words(spec, act, zero_points));
}

}  // namespace mantissa
