#include <mantissa/configs/int8_weight_only.h>

#include <fmt/format.h>

#include <mantissa/formats/int8_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("group_size", self.group_size);
  field("granularity", self.granularity);
  field("set_inductor_config", self.set_inductor_config);
}

}  // namespace

void Int8WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void Int8WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int8WeightOnlyConfig::validate() const {
  if (group_size) {
    rules::throw_field(
        type(),
        "group_size",
        "None",
        std::to_string(*group_size),
        fmt::format("use granularity=per_group({})", *group_size));
  }
  rules::check_tensor_row_group(type(), "granularity", granularity);
}

WeightChoice Int8WeightOnlyConfig::choose(const Shape& shape,
                                          DType dtype) const {
  validate();
  const Granularity scales = granularity.value_or(PerRow{});
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  if (auto no = rules::refuse_granularity(shape.back(), scales)) {
    return *no;
  }
  return {make_int8_encoding(shape, dtype, {.granularity = scales}), {}, {}};
}

}  // namespace mantissa
