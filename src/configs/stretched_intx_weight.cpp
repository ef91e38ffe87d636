#include <mantissa/configs/stretched_intx_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("granularity", self.granularity);
  field("scale_dtype", self.scale_dtype);
  field("b", self.b);
  field("quant_min", self.quant_min);
  field("quant_max", self.quant_max);
  field("activation_quantization", self.activation_quantization);
}

}  // namespace

void StretchedIntxWeightConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void StretchedIntxWeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
