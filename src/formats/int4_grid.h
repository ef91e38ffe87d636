#pragma once

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// The codes of an Int4Tensor's `qdata` [.., K / 2], one a byte: int8 [.., K]
/// from -8 to 7.
HostTensor int4_codes(ConstTensorView qdata);

/// The way back.
HostTensor int4_qdata(ConstTensorView codes);

/// The last two dimensions of a tensor exchanged: `scale` and `zero_point`
/// [.., K / group, N] as rows of groups [.., N, K / group], and back.
HostTensor int4_exchanged(ConstTensorView values);

}  // namespace mantissa
