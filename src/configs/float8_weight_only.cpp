#include <mantissa/configs/float8_weight_only.h>

#include <mantissa/formats/float8_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("weight_dtype", self.weight_dtype);
  field("set_inductor_config", self.set_inductor_config);
  field("granularity", self.granularity);
}

}  // namespace

void Float8WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  Float8WeightOnlyConfig out = *this;
  if (!out.granularity) out.granularity = PerRow{};  // as torchao writes it
  visit(out, writer);
}

void Float8WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Float8WeightOnlyConfig::validate() const {
  rules::check_float8(type(), "weight_dtype", weight_dtype);
  rules::check_tensor_row_group(
      type(), "granularity", granularity.value_or(PerRow{}));
}

WeightChoice Float8WeightOnlyConfig::choose(const Shape& shape,
                                            DType dtype) const {
  validate();
  const Granularity scales = granularity.value_or(PerRow{});
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  if (auto no = rules::refuse_granularity(shape.back(), scales)) return *no;
  return {
      make_float8_encoding(
          shape, dtype, {.float8_dtype = weight_dtype, .granularity = scales}),
      {},
      {}};
}

}  // namespace mantissa
