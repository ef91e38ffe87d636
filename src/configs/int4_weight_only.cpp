#include <mantissa/configs/int4_weight_only.h>

#include <algorithm>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>

#include "configs/fields.h"
#include "configs/rules.h"

namespace mantissa {
namespace {

template <class Self, class Visitor>
void visit(Self& self, Visitor& field) {
  field("group_size", self.group_size);
  field("set_inductor_config", self.set_inductor_config);
  field("int4_packing_format", self.int4_packing_format);
  field("int4_choose_qparams_algorithm", self.int4_choose_qparams_algorithm);
  field("int4_tile_packed_ntile", self.int4_tile_packed_ntile);
}

}  // namespace

void Int4WeightOnlyConfig::write_fields(FieldWriter& writer) const {
  visit(*this, writer);
}

void Int4WeightOnlyConfig::read_fields(FieldReader& reader) {
  visit(*this, reader);
}

void Int4WeightOnlyConfig::validate() const {
  const bool tile_packed =
      int4_packing_format == Int4PackingFormat::TilePackedTo4d;
  if (int4_packing_format != Int4PackingFormat::Plain && !tile_packed) {
    throw_not_available(
        "Int4WeightOnlyConfig with int4_packing_format " +
            std::string(spelling(int4_packing_format.value).value),
        "int4_packing_format plain, tile_packed_to_4d");
  }
  rules::check_group_size(type(), "group_size", group_size);
  const auto sizes = rules::int4_group_sizes();
  if (tile_packed &&
      std::find(sizes.begin(), sizes.end(), group_size) == sizes.end()) {
    rules::throw_field(type(),
                       "group_size",
                       "32, 64, 128 or 256 (tile-packed)",
                       std::to_string(group_size));
  }
  if (int4_tile_packed_ntile != 8 && int4_tile_packed_ntile != 16) {
    rules::throw_field(type(),
                       "int4_tile_packed_ntile",
                       "8 or 16",
                       std::to_string(int4_tile_packed_ntile));
  }
  if (int4_choose_qparams_algorithm == Int4ChooseQParamsAlgorithm::Hqq &&
      !tile_packed) {
    rules::throw_field(type(),
                       "int4_choose_qparams_algorithm",
                       "tinygemm for this packing format",
                       "hqq",
                       "HQQ needs int4_packing_format=tile_packed_to_4d");
  }
}

WeightChoice Int4WeightOnlyConfig::choose(const Shape& shape,
                                          DType dtype) const {
  validate();
  if (auto no = rules::refuse_rank(type(), shape, 3)) return *no;
  if (auto no = rules::refuse_group(
          shape.back(), group_size, rules::int4_group_sizes())) {
    return *no;
  }
  if (int4_packing_format == Int4PackingFormat::TilePackedTo4d) {
    if (auto no =
            rules::refuse_dtype("tile-packed int4", dtype, {DType::BFloat16})) {
      return *no;
    }
    return {make_int4_tile_packed_encoding(
                shape,
                dtype,
                {.group_size = group_size,
                 .algorithm = int4_choose_qparams_algorithm,
                 .ntile = int4_tile_packed_ntile}),
            {},
            {}};
  }
  if (group_size == 1) {
    return {nullptr,
            "group_size 1 gives every value a scale of its own",
            "use --group-size 32 or another divisor of K above 1"};
  }
  if (auto no = rules::refuse_dtype(type(), dtype)) return *no;
  if (auto no = rules::refuse_odd(shape.back())) return *no;
  return {make_int4_encoding(shape, dtype, {.group_size = group_size}), {}, {}};
}

}  // namespace mantissa
