#include <mantissa/configs/groupwise_lut_weight.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("code_dtype", self.code_dtype);
  field("weight_dtype", self.weight_dtype);
  field("backend", self.backend);
  field("lut_block_shape", self.lut_block_shape);
  field("scale_block_shape", self.scale_block_shape);
  field("use_qdq_reference", self.use_qdq_reference);
  field("target", self.target);
  field("cache_dir", self.cache_dir);
  field("has_scale", self.has_scale);
}

}  // namespace

void GroupwiseLutWeightConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void GroupwiseLutWeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

}  // namespace mantissa
