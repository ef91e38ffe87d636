#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/decode_ops_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// The float operations between the products of one decoded token (op
/// "decode_ops"). Every row gives the same bits.
struct DecodeOpsProblem {
  std::int64_t head_dim = 64;
};

struct DecodeOpsKernel {
  const char* name;
  const char* (*refuses)(const DecodeOpsProblem&, const Caps&);
  void (*rms_norm)(const RmsNormArgs&);
  void (*rotate)(const RotateArgs&);
  void (*store_cached)(const StoreCachedArgs&);
  void (*attend_one)(const AttendOneArgs&);
  void (*merge_parts)(const MergePartsArgs&);
  void (*gate)(const GateArgs&);
  void (*rows_by_vector)(const RowsByVectorArgs&);
};

/// Rows in order of preference.
std::span<const DecodeOpsKernel> decode_ops_kernels();

/// The preferred row of this machine.
const DecodeOpsKernel& select_decode_ops(const DecodeOpsProblem& problem);

void list_decode_ops(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
