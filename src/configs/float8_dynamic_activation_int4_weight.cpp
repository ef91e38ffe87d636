#include <mantissa/configs/float8_dynamic_activation_int4_weight.h>

#include <mantissa/formats/int4_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

constexpr std::int64_t kGroupSize = 128;  // fixed by torchao

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("int4_packing_format", self.int4_packing_format);
}

}  // namespace

void Float8DynamicActivationInt4WeightConfig::write_fields(
    FieldWriter& writer) const {
  visit(*this, writer);
}

void Float8DynamicActivationInt4WeightConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Float8DynamicActivationInt4WeightConfig::validate() const {
  if (int4_packing_format == Int4PackingFormat::Plain) return;
  if (int4_packing_format == Int4PackingFormat::Preshuffled) {
    throw_not_available(
        std::string(type()) + " with int4_packing_format preshuffled",
        "int4_packing_format plain");
  }
  rules::throw_field(type(),
                     "int4_packing_format",
                     "plain or preshuffled",
                     spelling(int4_packing_format.value).value);
}

WeightChoice Float8DynamicActivationInt4WeightConfig::choose(
    const Shape& shape, DType dtype) const {
  validate();
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  if (auto no = rules::refuse_group(shape.back(), kGroupSize, {})) {
    no->remedy =
        "its group size is fixed; keep it with --ignore, or choose "
        "int4_weight_only for it";
    return *no;
  }
  return {make_int4_encoding(shape,
                             dtype,
                             {.group_size = kGroupSize,
                              .activation_dtype = DType::Float8E4M3FN}),
          {},
          {}};
}

}  // namespace mantissa
