#include <mantissa/configs/codebook_weight_only.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("dtype", self.dtype);
  field("block_size", self.block_size);
  field("scale_block_size", self.scale_block_size);
}

template <class Self, class Visitor>
void visit_coreml(Self& self, Visitor& field) {
  field("dtype", self.dtype);
  field("block_size", self.block_size);
}

}  // namespace

void CodebookWeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void CodebookWeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void CoremlCodebookWeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit_coreml(*this, writer);
}

void CoremlCodebookWeightOnlyConfig::read_fields(FieldReader& reader) {
  visit_coreml(*this, reader);
}

}  // namespace mantissa
