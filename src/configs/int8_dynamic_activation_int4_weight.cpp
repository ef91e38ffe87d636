#include <mantissa/configs/int8_dynamic_activation_int4_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("group_size", self.group_size);
  field("act_mapping_type", self.act_mapping_type);
  field("set_inductor_config", self.set_inductor_config);
}

}  // namespace

void Int8DynamicActivationInt4WeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8DynamicActivationInt4WeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
