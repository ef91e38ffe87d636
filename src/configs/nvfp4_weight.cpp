#include <mantissa/configs/nvfp4_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit_dynamic(Self& self, Visitor& field) {
  field("use_triton_kernel", self.use_triton_kernel);
  field("use_dynamic_per_tensor_scale", self.use_dynamic_per_tensor_scale);
  field("step", self.step);
}

template <class Self, class Visitor>
void visit_weight_only(Self& self, Visitor& field) {
  field("use_dynamic_per_tensor_scale", self.use_dynamic_per_tensor_scale);
}

}  // namespace

// torchao turns a raw step into the enumerator; a step means static scales.
void NVFP4DynamicActivationNVFP4WeightConfig::normalize() {
  if (!step) return;
  step->form = EnumForm::Member;
  use_dynamic_per_tensor_scale = false;
}

void NVFP4DynamicActivationNVFP4WeightConfig::write_fields(
    FieldWriter& writer) const {
  NVFP4DynamicActivationNVFP4WeightConfig out = *this;
  out.normalize();
  visit_dynamic(out, writer);
}

void NVFP4DynamicActivationNVFP4WeightConfig::read_fields(FieldReader& reader) {
  visit_dynamic(*this, reader);
  normalize();
}

void NVFP4WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit_weight_only(*this, writer);
}

void NVFP4WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit_weight_only(*this, reader);
}

}  // namespace mantissa
