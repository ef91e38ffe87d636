#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_types.h>

#include "configs/rules.h"

namespace mantissa::rules {

/// The weight side of the two intx configs; names are those of the fields.
struct IntxWeight {
  DType weight_dtype;
  Granularity granularity;
  MappingType mapping_type;
  std::optional<DType> scale_dtype;
  IntxPackingFormat packing_format;
  IntxChooseQParamsAlgorithm algorithm;
};

/// Field rules; `prefix` is "weight_" where the fields bear it.
void check_intx(std::string_view type,
                std::string_view prefix,
                const IntxWeight& weight);

/// Whether activations are quantized to int8 per token at run time.
enum class IntxActivation { None, Int8AsymPerToken };

/// IntxUnpackedToInt8Tensor for a weight, or the refusal.
WeightChoice choose_intx(std::string_view type,
                         const IntxWeight& weight,
                         IntxActivation activation,
                         const Shape& shape,
                         DType dtype);

}  // namespace mantissa::rules
