#include <mantissa/configs/int8_static_activation_int8_weight.h>

#include <string>

#include <mantissa/formats/int8_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("act_quant_scale", self.act_quant_scale);
  field("act_quant_zero_point", self.act_quant_zero_point);
  field("granularity", self.granularity);
  field("act_mapping_type", self.act_mapping_type);
  field("set_inductor_config", self.set_inductor_config);
  field("reduce_range", self.reduce_range);
}

GranularityPair pair_of(const Int8StaticActivationInt8WeightFields& fields) {
  return activation_and_weight(
      fields.granularity,
      PerRow{},
      "Int8StaticActivationInt8WeightConfig: granularity");
}

}  // namespace

void Int8StaticActivationInt8WeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8StaticActivationInt8WeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int8StaticActivationInt8WeightConfig::validate() const {
  rules::check_int8_sides(type(), pair_of(*this), act_mapping_type);
  if (act_quant_scale.value) return;
  throw_not_available(std::string(type()) + " without act_quant_scale",
                      "act_quant_scale from a program (what a calibration "
                      "found), int8_dynamic_activation_int8_weight");
}

WeightChoice Int8StaticActivationInt8WeightConfig::choose(const Shape& shape,
                                                          DType dtype) const {
  validate();
  const GranularityPair pair = pair_of(*this);
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  Int8Spec spec;
  spec.granularity = pair.weight;
  spec.reduce_range = reduce_range.value_or(false);
  spec.act_quant_kwargs = QuantizeTensorToInt8Kwargs{
      .granularity = pair.activation,
      .mapping_type = act_mapping_type.value_or(MappingType::Symmetric),
      .reduce_range = spec.reduce_range};
  spec.act_quant_scale = act_quant_scale.value;
  spec.act_quant_zero_point = act_quant_zero_point.value;
  return {make_int8_encoding(shape, dtype, spec), {}, {}};
}

}  // namespace mantissa
