#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

// The optional field `act_pre_scale`, which multiplies the activations [.., K]
// before a product. Encoders do not make it; files may hold it.
namespace mantissa::act_pre_scale {

/// Throws Error(Input) unless the field is a float tensor whose last dimension
/// is 1 or K.
void check(std::string_view owner, const FieldLayout& field, std::int64_t k);

/// What belongs to the columns [begin, end) of the weight.
HostTensor sliced(ConstTensorView field, std::int64_t begin, std::int64_t end);

}  // namespace mantissa::act_pre_scale
