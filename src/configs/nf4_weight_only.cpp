#include <mantissa/configs/nf4_weight_only.h>

#include <fmt/format.h>

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/nf4_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("block_size", self.block_size);
  field("scaler_block_size", self.scaler_block_size);
}

}  // namespace

void NF4WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  const NF4WeightOnlyFields defaults;
  if (block_size == defaults.block_size &&
      scaler_block_size == defaults.scaler_block_size) {
    return;  // torchao's `_data` is empty
  }
  visit(*this, writer);
}

void NF4WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void NF4WeightOnlyConfig::validate() const {
  rules::check_group_size(type(), "block_size", block_size);
  rules::check_group_size(type(), "scaler_block_size", scaler_block_size);
  if (block_size % 2 != 0) {
    rules::throw_field(
        type(), "block_size", "an even number", std::to_string(block_size));
  }
}

WeightChoice NF4WeightOnlyConfig::choose(const Shape& shape,
                                         DType dtype) const {
  validate();
  if (auto no = rules::refuse_rank(type(), shape, 2)) return *no;
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  const std::int64_t elements = numel(shape);
  if (elements % block_size != 0 ||
      elements / block_size % scaler_block_size != 0) {
    return {nullptr,
            fmt::format("{} elements are not a multiple of block_size {} x "
                        "scaler_block_size {}",
                        elements,
                        block_size,
                        scaler_block_size),
            "keep it with --ignore, or give smaller block sizes"};
  }
  return {make_nf4_encoding(shape,
                            dtype,
                            {.block_size = block_size,
                             .scaler_block_size = scaler_block_size}),
          {},
          {}};
}

}  // namespace mantissa
