#include "configs/intx_rules.h"

#include <string>

#include <mantissa/configs/field_config.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>

namespace mantissa::rules {
namespace {

bool is_intx(DType dtype) {
  return dtype == DType::Int8 || (dtype >= DType::Int1 && dtype <= DType::Int7);
}

// The scale is 2 max|x|, so that |x / scale| <= 1/2, which rounds to 0.
std::string caution_of(const IntxWeight& weight) {
  if (weight.weight_dtype != DType::Int1 ||
      weight.mapping_type != MappingType::Symmetric ||
      weight.algorithm != IntxChooseQParamsAlgorithm::Affine) {
    return {};
  }
  return "symmetric int1 has the codes -1 and 0 and a scale of twice the "
         "largest value: every code becomes 0 and the weights decode to 0. "
         "Remedy: ASYMMETRIC, or int2 and more";
}

// The weight [N, C, H, W] of a Conv2d, which only weights alone may be.
bool is_conv2d(const IntxWeight& weight,
               IntxActivation activation,
               const Shape& shape) {
  return shape.size() == 4 && activation == IntxActivation::None &&
         weight.algorithm == IntxChooseQParamsAlgorithm::Affine;
}

}  // namespace

void check_intx(std::string_view type,
                std::string_view prefix,
                const IntxWeight& weight) {
  const auto field = [&](std::string_view name) {
    return std::string(prefix) + std::string(name);
  };
  if (!is_intx(weight.weight_dtype)) {
    throw_field(
        type, "weight_dtype", "int1 to int8", name(weight.weight_dtype));
  }
  check_group_or_axis(type, field("granularity"), weight.granularity);
  if (weight.mapping_type == MappingType::SymmetricNoClippingErr &&
      weight.weight_dtype == DType::Int1) {
    throw_field(type,
                field("mapping_type"),
                "SYMMETRIC or ASYMMETRIC for int1, whose largest code is 0",
                "SYMMETRIC_NO_CLIPPING_ERR");
  }
  if (weight.scale_dtype && *weight.scale_dtype != DType::Float32 &&
      *weight.scale_dtype != DType::BFloat16 &&
      *weight.scale_dtype != DType::Float16) {
    throw_field(type,
                field("scale_dtype"),
                "float32, bfloat16, float16 or None",
                name(*weight.scale_dtype));
  }
  if (weight.packing_format != IntxPackingFormat::UnpackedToInt8) {
    throw_not_available(std::string(type) + " with intx_packing_format " +
                            std::string(spelling(weight.packing_format).value),
                        "intx_packing_format unpacked_to_int8");
  }
}

WeightChoice choose_intx(std::string_view type,
                         const IntxWeight& weight,
                         IntxActivation activation,
                         const Shape& shape,
                         DType dtype) {
  const bool conv2d = is_conv2d(weight, activation, shape);
  if (!conv2d) {
    if (auto no = refuse_rank(type, shape, 2)) return *no;
  }
  if (auto no = refuse_dtype(type, dtype)) return *no;
  const std::int64_t columns = conv2d ? shape[1] : shape.back();
  if (auto no = refuse_granularity(columns, weight.granularity)) return *no;
  IntxSpec spec;
  spec.target_dtype = weight.weight_dtype;
  spec.granularity = weight.granularity;
  spec.mapping_type = weight.mapping_type;
  spec.scale_dtype = weight.scale_dtype;
  spec.algorithm = weight.algorithm;
  if (activation == IntxActivation::Int8AsymPerToken) {
    spec.activation_quantization = "int8_asym_per_token";
  }
  return {make_intx_encoding(shape, dtype, spec), {}, {}, caution_of(weight)};
}

}  // namespace mantissa::rules
