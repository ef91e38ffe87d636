#include <nlohmann/json.hpp>

#include "configs/read_config.h"

namespace mantissa {
namespace {

// A class that torchao once had: which fields tell it from a class that bears
// the name today ("" if none does), and what to use instead.
struct Removed {
  std::string_view type;
  std::string_view telling_fields[2];
  std::string_view replacement;
};

constexpr Removed kRemoved[] = {
    {"Float8DynamicActivationFloat8SemiSparseWeightConfig",
     {},
     "Float8DynamicActivationFloat8WeightConfig with granularity=PerRow() and "
     "packing_format=SPARSE_CUTLASS"},
    {"Int8DynamicActivationInt4WeightConfig",
     {"layout", "mapping_type"},
     "Int8DynamicActivationIntxWeightConfig with weight_dtype=int4 and "
     "weight_granularity=PerGroup(32)"},
    {"GemliteUIntXWeightOnlyConfig",
     {},
     "UIntxWeightOnlyConfig or Int8DynamicActivationUIntxWeightConfig"},
    {"UIntXWeightOnlyConfig",
     {},
     "IntxWeightOnlyConfig or UIntxWeightOnlyConfig; checkpoints of the old "
     "config stay unreadable"},
    {"UIntxWeightOnlyConfig",
     {"bitwidth", "uintx_choose_qparams_algorithm"},
     "IntxWeightOnlyConfig; this is the class of torchao.experimental for MPS, "
     "another one than torchao.prototype's of the same name"},
    {"FPXWeightOnlyConfig", {}, "Float8WeightOnlyConfig"},
    {"Int4DynamicActivationInt4WeightConfig",
     {},
     "Int8DynamicActivationIntxWeightConfig with weight_dtype=int4"},
    {"SemiSparseWeightConfig",
     {},
     "Float8DynamicActivationFloat8WeightConfig with granularity=PerRow() and "
     "packing_format=SPARSE_CUTLASS"},
    {"BlockSparseWeightConfig", {}, "nothing; torchao dropped block sparsity"},
};

}  // namespace

std::string removed_config(std::string_view type, const Json& data) {
  for (const Removed& row : kRemoved) {
    if (row.type != type) continue;
    bool told = row.telling_fields[0].empty();
    for (const std::string_view field : row.telling_fields) {
      told |= !field.empty() && data.is_object() &&
              data.contains(std::string(field));
    }
    if (told) {
      return std::string(type) + " was removed from torchao; use " +
             std::string(row.replacement);
    }
  }
  return {};
}

}  // namespace mantissa
