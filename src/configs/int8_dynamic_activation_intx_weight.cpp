#include <mantissa/configs/int8_dynamic_activation_intx_weight.h>

#include "configs/fields.h"
#include "configs/intx_rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("weight_dtype", self.weight_dtype);
  field("weight_granularity", self.weight_granularity);
  field("weight_mapping_type", self.weight_mapping_type);
  field("weight_scale_dtype", self.weight_scale_dtype);
  field("act_mapping_type", self.act_mapping_type);
  field("intx_packing_format", self.intx_packing_format);
  field("intx_choose_qparams_algorithm", self.intx_choose_qparams_algorithm);
}

rules::IntxWeight weight_of(
    const Int8DynamicActivationIntxWeightFields& fields) {
  return {fields.weight_dtype,
          fields.weight_granularity,
          fields.weight_mapping_type,
          fields.weight_scale_dtype,
          fields.intx_packing_format,
          fields.intx_choose_qparams_algorithm};
}

}  // namespace

void Int8DynamicActivationIntxWeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8DynamicActivationIntxWeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int8DynamicActivationIntxWeightConfig::validate() const {
  rules::check_intx(type(), "weight_", weight_of(*this));
  if (act_mapping_type != MappingType::Asymmetric) {
    rules::throw_field(type(),
                       "act_mapping_type",
                       "ASYMMETRIC",
                       spelling(act_mapping_type.value).member);
  }
}

WeightChoice Int8DynamicActivationIntxWeightConfig::choose(const Shape& shape,
                                                           DType dtype) const {
  validate();
  return rules::choose_intx(type(),
                            weight_of(*this),
                            rules::IntxActivation::Int8AsymPerToken,
                            shape,
                            dtype);
}

}  // namespace mantissa
