#include <mantissa/configs/int8_dynamic_activation_int8_weight.h>

#include <mantissa/formats/int8_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("act_mapping_type", self.act_mapping_type);
  field("weight_only_decode", self.weight_only_decode);
  field("granularity", self.granularity);
  field("set_inductor_config", self.set_inductor_config);
  field("reduce_range", self.reduce_range);
}

GranularityPair pair_of(const Int8DynamicActivationInt8WeightFields& fields) {
  return activation_and_weight(
      fields.granularity,
      PerRow{},
      "Int8DynamicActivationInt8WeightConfig: granularity");
}

}  // namespace

void Int8DynamicActivationInt8WeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8DynamicActivationInt8WeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int8DynamicActivationInt8WeightConfig::validate() const {
  rules::check_int8_sides(type(), pair_of(*this), act_mapping_type);
}

WeightChoice Int8DynamicActivationInt8WeightConfig::choose(const Shape& shape,
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
  return {make_int8_encoding(shape, dtype, spec), {}, {}};
}

}  // namespace mantissa
