#include "kernels/absmax_runs.h"
#include "kernels/attention_bf16.h"
#include "kernels/attention_int8.h"
#include "kernels/convert.h"
#include "kernels/decode_ops.h"
#include "kernels/dequantize_affine.h"
#include "kernels/embedding_lowbit.h"
#include "kernels/error_sums.h"
#include "kernels/group_minmax.h"
#include "kernels/hqq_scale.h"
#include "kernels/linear_int8.h"
#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "kernels/pack_bits.h"
#include "kernels/pack_lowbit.h"
#include "kernels/pack_universal.h"
#include "kernels/quantize_affine.h"
#include "kernels/quantize_float8.h"
#include "kernels/quantize_int4.h"
#include "kernels/quantize_panels.h"
#include "kernels/search_affine.h"
#include "kernels/select.h"

namespace mantissa::kernels {

std::vector<KernelInfo> all_kernels(const Caps& caps) {
  std::vector<KernelInfo> out;
  list_absmax_runs(caps, out);
  list_attention_bf16(caps, out);
  list_attention_int8(caps, out);
  list_convert(caps, out);
  list_decode_ops(caps, out);
  list_dequantize_affine(caps, out);
  list_embedding_lowbit(caps, out);
  list_error_sums(caps, out);
  list_find_nonfinite(caps, out);
  list_group_minmax(caps, out);
  list_hqq_scale(caps, out);
  list_linear_int8(caps, out);
  list_linear_lowbit(caps, out);
  list_linear_lowbit_bf16(caps, out);
  list_linear_lowbit_float(caps, out);
  list_pack_bits(caps, out);
  list_pack_lowbit(caps, out);
  list_pack_universal(caps, out);
  list_quantize_affine(caps, out);
  list_quantize_float8(caps, out);
  list_quantize_int4(caps, out);
  list_quantize_panels(caps, out);
  list_search_affine(caps, out);
  list_unpack_bits(caps, out);
  list_unpack_lowbit(caps, out);
  list_unpack_universal(caps, out);
  return out;
}

}  // namespace mantissa::kernels
