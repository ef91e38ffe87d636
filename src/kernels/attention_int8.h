#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention_int8_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Attention of uint8 codes (op "attention_int8"). Every row gives the same
/// bytes.
struct AttentionInt8Problem {
  std::int64_t head_dim = 64;
};

/// A thread calls `prepare` for a head, then `attend` for rows of it.
struct AttentionInt8Kernel {
  const char* name;
  const char* (*refuses)(const AttentionInt8Problem&, const Caps&);
  void (*prepare)(const AttentionInt8Args&,
                  const AttentionHead&,
                  void* scratch);
  void (*attend)(const AttentionInt8Args&,
                 const AttentionHead&,
                 std::int64_t begin,
                 std::int64_t end,
                 void* scratch);
};

/// Rows in order of preference.
std::span<const AttentionInt8Kernel> attention_int8_kernels();

/// The preferred row of this machine.
const AttentionInt8Kernel& select_attention_int8(
    const AttentionInt8Problem& problem);

void list_attention_int8(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
