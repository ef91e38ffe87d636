#include <mantissa/configs/smooth_quant.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("base_config", self.base_config);
  field("step", self.step);
  field("alpha", self.alpha);
  field("use_running_absmax", self.use_running_absmax);
}

}  // namespace

void SmoothQuantConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void SmoothQuantConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
  step.form = EnumForm::Raw;  // as torchao keeps it
}

}  // namespace mantissa
