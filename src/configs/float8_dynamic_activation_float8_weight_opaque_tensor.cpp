#include <mantissa/configs/float8_dynamic_activation_float8_weight_opaque_tensor.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("activation_dtype", self.activation_dtype);
  field("weight_dtype", self.weight_dtype);
  field("granularity", self.granularity);
  field("set_inductor_config", self.set_inductor_config);
}

}  // namespace

void Float8DynamicActivationFloat8WeightOpaqueTensorConfig::write_fields(
    FieldWriter& writer) const {
  Float8DynamicActivationFloat8WeightOpaqueTensorConfig out = *this;
  if (!std::holds_alternative<std::vector<Granularity>>(out.granularity)) {
    const GranularityPair pair =
        activation_and_weight(out.granularity, PerTensor{}, "granularity");
    out.granularity = std::vector<Granularity>{pair.activation, pair.weight};
  }
  visit(out, writer);
}

void Float8DynamicActivationFloat8WeightOpaqueTensorConfig::read_fields(
    FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
