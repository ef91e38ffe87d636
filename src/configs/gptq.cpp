#include <mantissa/configs/gptq.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("step", self.step);
  field("base_config", self.base_config);
  field("percdamp", self.percdamp);
  field("gptq_quantize_block_size", self.gptq_quantize_block_size);
}

}  // namespace

void GPTQConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void GPTQConfig::read_fields(FieldReader& reader) { visit(*this, reader); }

}  // namespace mantissa
