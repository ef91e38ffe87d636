#include <mantissa/configs/float8_static_activation_float8_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("step", self.step);
  field("act_quant_scale", self.act_quant_scale);
  field("activation_dtype", self.activation_dtype);
  field("weight_dtype", self.weight_dtype);
  field("granularity", self.granularity);
  field("mm_config", self.mm_config);
  field("kernel_preference", self.kernel_preference);
  field("set_inductor_config", self.set_inductor_config);
  field("quantize_and_dequantize_output", self.quantize_and_dequantize_output);
  field("output_act_quant_scale", self.output_act_quant_scale);
}

}  // namespace

void Float8StaticActivationFloat8WeightConfig::write_fields(
    FieldWriter& writer) const {
  Float8StaticActivationFloat8WeightConfig out = *this;
  if (!out.mm_config) out.mm_config = Float8MMConfig{false, true, false};
  visit(out, writer);
}

void Float8StaticActivationFloat8WeightConfig::read_fields(
    FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
