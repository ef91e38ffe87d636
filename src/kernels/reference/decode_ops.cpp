#include "kernels/cpu/attend_loops.h"
#include "kernels/cpu/decode_ops_loops.h"

namespace mantissa::kernels {

void rms_norm_ref(const RmsNormArgs& args) { rms_norm_loop(args); }
void rotate_ref(const RotateArgs& args) { rotate_loop(args); }
void store_cached_ref(const StoreCachedArgs& args) { store_cached_loop(args); }
void attend_one_ref(const AttendOneArgs& args) { attend_one_loop(args); }
void merge_parts_ref(const MergePartsArgs& args) { merge_parts_loop(args); }
void gate_ref(const GateArgs& args) { gate_loop(args); }
void rows_by_vector_ref(const RowsByVectorArgs& args) {
  rows_by_vector_loop(args);
}

}  // namespace mantissa::kernels
