#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// Weights [E, N, K], or [N, K], of matrices of one encoding, one behind the
/// other along N and then E: the experts of a layer as their files hold them,
/// gate and up apart; only in memory, no file of ours holds it. Fields are
/// those of the matrices, [matrices, ..]. Throws Error(Usage) unless the
/// matrices [N', K] fill whole experts.
std::shared_ptr<const Encoding> make_fused_encoding(
    Shape shape, std::shared_ptr<const Encoding> matrix);

/// Whether it is a FusedTensor.
bool is_fused(const Encoding& encoding);

/// The encoding of each matrix of a FusedTensor; null for another format.
std::shared_ptr<const Encoding> fused_matrix(const Encoding& encoding);

/// The same; another format's is the encoding itself.
const Encoding& one_matrix(const Encoding& encoding);

/// How many matrices; 1 for another format.
std::int64_t fused_count(const Encoding& encoding);

/// The fields of matrix i.
std::vector<ConstTensorView> fused_fields(
    std::span<const ConstTensorView> fields, std::int64_t i);

/// Tensors of matrices, all of one dtype and size, as one tensor of `shape`;
/// of an empty list, or of empty ones, an empty tensor.
HostTensor joined(std::span<const HostTensor> parts, Shape shape);

}  // namespace mantissa
