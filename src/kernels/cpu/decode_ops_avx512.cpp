#include "kernels/cpu/attend_avx512.h"
#include "kernels/cpu/decode_ops_loops.h"

namespace mantissa::kernels {

void rms_norm_avx512(const RmsNormArgs& args) { rms_norm_loop(args); }
void rotate_avx512(const RotateArgs& args) { rotate_loop(args); }
void store_cached_avx512(const StoreCachedArgs& args) {
  store_cached_loop(args);
}
void attend_one_avx512(const AttendOneArgs& args) { attend_one_wide(args); }
void merge_parts_avx512(const MergePartsArgs& args) { merge_parts_loop(args); }
void gate_avx512(const GateArgs& args) { gate_loop(args); }
void rows_by_vector_avx512(const RowsByVectorArgs& args) {
  rows_by_vector_loop(args);
}

}  // namespace mantissa::kernels
