#include <mantissa/configs/mx_dynamic_activation_mx_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("block_size", self.block_size);
  field("activation_dtype", self.activation_dtype);
  field("weight_dtype", self.weight_dtype);
  field("kernel_preference", self.kernel_preference);
  field("scaling_mode", self.scaling_mode);
}

}  // namespace

void MXDynamicActivationMXWeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void MXDynamicActivationMXWeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
