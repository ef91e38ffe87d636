#include <mantissa/configs/intx_weight_only.h>

#include "configs/fields.h"
#include "configs/intx_rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("weight_dtype", self.weight_dtype);
  field("granularity", self.granularity);
  field("mapping_type", self.mapping_type);
  field("scale_dtype", self.scale_dtype);
  field("intx_packing_format", self.intx_packing_format);
  field("intx_choose_qparams_algorithm", self.intx_choose_qparams_algorithm);
}

rules::IntxWeight weight_of(const IntxWeightOnlyFields& fields) {
  return {fields.weight_dtype,
          fields.granularity,
          fields.mapping_type,
          fields.scale_dtype,
          fields.intx_packing_format,
          fields.intx_choose_qparams_algorithm};
}

}  // namespace

void IntxWeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void IntxWeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void IntxWeightOnlyConfig::validate() const {
  rules::check_intx(type(), "", weight_of(*this));
}

WeightChoice IntxWeightOnlyConfig::choose(const Shape& shape,
                                          DType dtype) const {
  validate();
  return rules::choose_intx(
      type(), weight_of(*this), rules::IntxActivation::None, shape, dtype);
}

}  // namespace mantissa
