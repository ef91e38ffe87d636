#include "cli/measured_quality.h"

namespace mantissa::cli {
namespace {

constexpr MeasuredQuality kMeasured[] = {
    {"int8_weight_only",
     "int8_weight_only",
     8.06,
     41.4,
     163.8,
     19.057,
     0.0044,
     {101, 114}},
    {"int8_dynamic_activation_int8_weight",
     "int8_dynamic_activation_int8_weight",
     8.06,
     41.4,
     163.8,
     19.451,
     0.0258,
     {96, 134}},
    {"int4_weight_only",
     "int4_weight_only:group_size=64",
     4.50,
     21.9,
     116.6,
     25.490,
     0.3076,
     {135, 157}},
    {"intx_weight_only",
     "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
     8.75,
     20.1,
     173.0,
     24.930,
     0.3295,
     {133, 193}},
    {"int8_dynamic_activation_intx_weight",
     "int8_dynamic_activation_intx_weight:weight_dtype=int4",
     8.75,
     20.1,
     173.0,
     25.162,
     0.3396,
     {130, 145}},
    {"float8_weight_only",
     "float8_weight_only",
     8.05,
     31.6,
     163.6,
     19.350,
     0.0150,
     {32, 57}},
    {"float8_dynamic_activation_float8_weight",
     "float8_dynamic_activation_float8_weight",
     8.00,
     31.5,
     163.1,
     19.428,
     0.0284,
     {2, 3}},
    {"float8_dynamic_activation_int4_weight",
     "float8_dynamic_activation_int4_weight:int4_packing_format=plain",
     4.25,
     18.9,
     230.1,
     20.345,
     0.1218,
     {12, 13},
     "the 30 down projections (K = 1536; 576 takes no group of 128)"},
    {"nf4_weight_only",
     "nf4_weight_only:scaler_block_size=64",
     4.13,
     20.6,
     111.7,
     23.154,
     0.2259,
     {8, 6}},
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
