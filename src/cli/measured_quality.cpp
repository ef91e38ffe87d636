#include "cli/measured_quality.h"

namespace mantissa::cli {
namespace {

constexpr MeasuredQuality kMeasured[] = {
    {"int8_weight_only", "int8_weight_only", 8.06, 41.4, 19.057},
    {"int8_dynamic_activation_int8_weight",
     "int8_dynamic_activation_int8_weight",
     8.06,
     41.4,
     19.451},
    {"int4_weight_only", "int4_weight_only:group_size=64", 4.50, 21.9, 25.473},
    {"intx_weight_only",
     "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
     8.75,
     20.1,
     24.930},
    {"int8_dynamic_activation_intx_weight",
     "int8_dynamic_activation_intx_weight:weight_dtype=int4",
     8.75,
     20.1,
     25.162},
    {"float8_weight_only", "float8_weight_only", 8.05, 31.6, 19.350},
    {"float8_dynamic_activation_float8_weight",
     "float8_dynamic_activation_float8_weight",
     8.00,
     31.5,
     19.428},
    {"float8_dynamic_activation_int4_weight",
     "float8_dynamic_activation_int4_weight:int4_packing_format=plain",
     4.25,
     18.9,
     20.345,
     "the 30 down projections (K = 1536; 576 takes no group of 128)"},
    {"nf4_weight_only",
     "nf4_weight_only:scaler_block_size=64",
     4.13,
     20.6,
     23.154},
};

}  // namespace

std::span<const MeasuredQuality> measured_quality() { return kMeasured; }

const MeasuredQuality* find_measured(std::string_view short_name) {
  for (const MeasuredQuality& row : kMeasured) {
    if (row.short_name == short_name) return &row;
  }
  return nullptr;
}

}  // namespace mantissa::cli
