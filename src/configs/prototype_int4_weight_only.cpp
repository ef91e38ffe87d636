#include <mantissa/configs/prototype_int4_weight_only.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("group_size", self.group_size);
  field("int4_choose_qparams_algorithm", self.int4_choose_qparams_algorithm);
  field("set_inductor_config", self.set_inductor_config);
}

}  // namespace

void PrototypeInt4WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void PrototypeInt4WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
