#include <mantissa/configs/int8_static_activation_int8_weight.h>

#include "configs/fields.h"

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

}  // namespace

void Int8StaticActivationInt8WeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8StaticActivationInt8WeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
