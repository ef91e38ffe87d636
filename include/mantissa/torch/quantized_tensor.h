#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/core/api.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// True for a weight of ours: one that holds encoded fields (an inference
/// weight), or a high-precision tensor with a training op.
MANTISSA_API bool is_quantized_tensor(const at::Tensor& tensor);

/// True for a weight of ours that trains: its high-precision values are updated
/// in place, its products run through the op.
MANTISSA_API bool is_training_tensor(const at::Tensor& tensor);

/// A quantized inference weight: `fields` are those of encoding->fields(), in
/// that order, on one device, contiguous. It has the sizes and the dtype of the
/// encoding, requires no gradient and takes part in `at::linear`, `matmul`,
/// autograd (to the input), `to()`, `select` and so on; what has no rule sees
/// the dequantized values and is counted (fallback_counts()). Throws
/// c10::ValueError naming the field that does not fit.
MANTISSA_API at::Tensor make_quantized_tensor(
    std::shared_ptr<const Encoding> encoding, std::vector<at::Tensor> fields);

/// Encodes a weight [N, K] or [E, N, K] of the encoding's shape and dtype, on
/// the CPU with the bytes that the tool writes; a CUDA weight is encoded there
/// and its fields are moved back. Throws c10::ValueError for another shape or
/// dtype and for NaN or infinity in the weight.
MANTISSA_API at::Tensor to_quantized_tensor(
    const at::Tensor& weight, const std::shared_ptr<const Encoding>& encoding);

/// How an inference weight is stored; throws c10::TypeError for another tensor.
/// A transposed view has the encoding of the weight it views.
MANTISSA_API const std::shared_ptr<const Encoding>& encoding_of(
    const at::Tensor& tensor);

/// The fields of an inference weight, sharing its memory, in the order of
/// encoding_of(tensor)->fields(), to be read: tensor.copy_() writes to them.
/// Throws c10::TypeError for another tensor.
MANTISSA_API std::vector<at::Tensor> fields_of(const at::Tensor& tensor);

/// The plain values, in the tensor's dtype: an inference weight decoded, a
/// training weight's high-precision values (shared, differentiable); another
/// tensor is returned as it is.
MANTISSA_API at::Tensor dequantize(const at::Tensor& tensor);

/// How a tensor is stored, for people; `std::ostream << tensor` is libtorch's
/// and prints the dequantized values.
/// "Int8Tensor [576, 576] bfloat16, 8.06 bits a weight: qdata int8 [576, 576],
/// scale float32 [576, 1], zero_point int8 [576, 1]"; for a plain tensor its
/// shape and dtype.
MANTISSA_API std::string describe(const at::Tensor& tensor);

/// How often each operator without a rule of ours ran on dequantized values
/// since the start or the last reset, by its name ("aten::mul.Tensor"). For all
/// threads.
MANTISSA_API std::map<std::string, std::int64_t> fallback_counts();
MANTISSA_API void reset_fallback_counts();

/// x [.., K] times the transposed weight [N, K], plus bias [N]: at::linear
/// without the way through the dispatcher, for plain weights too.
MANTISSA_API at::Tensor linear(const at::Tensor& x,
                               const at::Tensor& w,
                               const at::Tensor& bias = {});

}  // namespace mantissa
