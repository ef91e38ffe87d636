#include <mantissa/configs/gguf_weight_only.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("dtype", self.dtype);
  field("n_blocks_per_superblock", self.n_blocks_per_superblock);
}

}  // namespace

void GGUFWeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void GGUFWeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
