#include <mantissa/configs/uintx_weight_only.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("group_size", self.group_size);
  field("bit_width", self.bit_width);
  field("packing_bitwidth", self.packing_bitwidth);
  field("set_inductor_config", self.set_inductor_config);
}

}  // namespace

void UIntxWeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void UIntxWeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int8DynamicActivationUIntxWeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8DynamicActivationUIntxWeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
