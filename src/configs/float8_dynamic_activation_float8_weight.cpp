#include <mantissa/configs/float8_dynamic_activation_float8_weight.h>

#include <cmath>

#include <fmt/format.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

constexpr std::int64_t kAlignment = 16;  // of torch's _scaled_mm

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("activation_dtype", self.activation_dtype);
  field("weight_dtype", self.weight_dtype);
  field("granularity", self.granularity);
  field("packing_format", self.packing_format);
  field("mm_config", self.mm_config);
  field("activation_value_lb", self.activation_value_lb);
  field("activation_value_ub", self.activation_value_ub);
  field("kernel_preference", self.kernel_preference);
  field("set_inductor_config", self.set_inductor_config);
  field("alg_id", self.alg_id);
}

using Fields = Float8DynamicActivationFloat8WeightFields;

GranularityPair pair_of(const Fields& fields) {
  return activation_and_weight(fields.granularity,
                               PerTensor{},
                               "Float8DynamicActivationFloat8WeightConfig: "
                               "granularity");
}

bool is_blockwise(const GranularityPair& pair) {
  return pair.activation == Granularity(PerBlock{{1, 128}}) &&
         pair.weight == Granularity(PerBlock{{128, 128}});
}

template <class Kind>
bool both(const GranularityPair& pair) {
  return std::holds_alternative<Kind>(pair.activation) &&
         std::holds_alternative<Kind>(pair.weight);
}

Float8MMConfig mm_config_of(const Fields& fields, const GranularityPair& pair) {
  return fields.mm_config.value_or(
      Float8MMConfig{.use_fast_accum = !is_blockwise(pair)});
}

void check_bounds(std::string_view type, const Fields& fields) {
  for (const auto& [name, bound] :
       {std::pair{"activation_value_lb", fields.activation_value_lb},
        std::pair{"activation_value_ub", fields.activation_value_ub}}) {
    if (bound && !(std::isfinite(*bound) && *bound >= 0)) {
      rules::throw_field(
          type, name, "a number of at least 0", fmt::format("{}", *bound));
    }
  }
}

rules::Refusal refuse_alignment(const Shape& shape) {
  for (const auto& [name, extent] : {std::pair{"K", shape.back()},
                                     std::pair{"N", shape[shape.size() - 2]}}) {
    if (extent % kAlignment == 0) continue;
    return WeightChoice{
        nullptr,
        fmt::format("{} = {} is not a multiple of {}, which float8 products "
                    "need",
                    name,
                    extent,
                    kAlignment),
        "keep it with --ignore, or choose float8_weight_only for it"};
  }
  return std::nullopt;
}

rules::Refusal refuse_blocks(const Shape& shape) {
  for (const auto& [name, extent] : {std::pair{"K", shape.back()},
                                     std::pair{"N", shape[shape.size() - 2]}}) {
    if (extent % 128 == 0) continue;
    return WeightChoice{
        nullptr,
        fmt::format("{} = {} is not a multiple of the block 128", name, extent),
        "use granularity=per_row, or keep it with --ignore"};
  }
  return std::nullopt;
}

}  // namespace

void Float8DynamicActivationFloat8WeightConfig::write_fields(
    FieldWriter& writer) const {
  // torchao stores both granularities and the default it took.
  Float8DynamicActivationFloat8WeightConfig out = *this;
  const GranularityPair pair = pair_of(*this);
  out.granularity = std::vector<Granularity>{pair.activation, pair.weight};
  out.mm_config = mm_config_of(*this, pair);
  visit(out, writer);
}

void Float8DynamicActivationFloat8WeightConfig::read_fields(
    FieldReader& reader) {
  visit(*this, reader);
}

void Float8DynamicActivationFloat8WeightConfig::validate() const {
  rules::check_float8(type(), "activation_dtype", activation_dtype);
  rules::check_float8(type(), "weight_dtype", weight_dtype);
  const GranularityPair pair = pair_of(*this);
  if (!both<PerTensor>(pair) && !both<PerRow>(pair) && !is_blockwise(pair)) {
    rules::throw_field(
        type(),
        "granularity",
        "PerTensor or PerRow for both, or [PerBlock(1x128), "
        "PerBlock(128x128)]",
        fmt::format(
            "[{}, {}]", to_string(pair.activation), to_string(pair.weight)));
  }
  if (!packing_format) {
    rules::throw_field(type(), "packing_format", "PLAIN", "None");
  }
  if (*packing_format != Float8PackingFormat::Plain) {
    throw_not_available(std::string(type()) + " with packing_format " +
                            std::string(spelling(packing_format->value).value),
                        "packing_format plain");
  }
  if (is_blockwise(pair) && kernel_preference != KernelPreference::Auto &&
      kernel_preference != KernelPreference::Torch) {
    rules::throw_field(type(),
                       "kernel_preference",
                       "AUTO or TORCH with blocks of 128",
                       spelling(kernel_preference.value).member);
  }
  check_bounds(type(), *this);
}

WeightChoice Float8DynamicActivationFloat8WeightConfig::choose(
    const Shape& shape, DType dtype) const {
  validate();
  const GranularityPair pair = pair_of(*this);
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = refuse_alignment(shape)) return *no;
  if (is_blockwise(pair)) {
    if (auto no = refuse_blocks(shape)) return *no;
  }
  if (both<PerRow>(pair)) {
    if (auto no = rules::refuse_dtype(
            "float8 dynamic with per-row scales", dtype, {DType::BFloat16})) {
      no->remedy += ", or granularity=per_tensor";
      return *no;
    }
  }
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  Float8Spec spec;
  spec.float8_dtype = weight_dtype;
  spec.granularity = pair.weight;
  spec.mm_config = mm_config_of(*this, pair);
  spec.kernel_preference = kernel_preference;
  spec.act_quant_kwargs =
      QuantizeTensorToFloat8Kwargs{.float8_dtype = activation_dtype,
                                   .granularity = pair.activation,
                                   .hp_value_lb = activation_value_lb,
                                   .hp_value_ub = activation_value_ub,
                                   .kernel_preference = kernel_preference};
  return {make_float8_encoding(shape, dtype, spec), {}, {}};
}

}  // namespace mantissa
