#include <mantissa/configs/awq.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("base_config", self.base_config);
  field("step", self.step);
  field("scale_search_space_size", self.scale_search_space_size);
}

}  // namespace

void AWQConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void AWQConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
  step.form = EnumForm::Raw;  // as torchao keeps it
}

}  // namespace mantissa
