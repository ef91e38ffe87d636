#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention_bf16_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Attention over keys and values of bfloat16 (op "attention_bf16").
struct AttentionBf16Problem {
  std::int64_t head_dim = 64;
};

/// Threads call `pack` for the panels of a head, then `attend` for its queries.
struct AttentionBf16Kernel {
  const char* name;
  const char* (*refuses)(const AttentionBf16Problem&, const Caps&);
  void (*pack)(const AttentionBf16Args&,
               const AttentionHead& kv_head,
               std::int64_t begin,
               std::int64_t end,
               void* packed);
  void (*attend)(const AttentionBf16Args&,
                 const AttentionHead& head,
                 std::int64_t begin,
                 std::int64_t end,
                 const void* packed);
  /// Queries that `attend` computes together. Where a call begins at a multiple
  /// of them and ends at one, or with the last query, the bytes of a query do
  /// not depend on how queries are shared out.
  std::int64_t tile;
};

/// Rows in order of preference.
std::span<const AttentionBf16Kernel> attention_bf16_kernels();

/// The preferred row of this machine.
const AttentionBf16Kernel& select_attention_bf16(
    const AttentionBf16Problem& problem);

void list_attention_bf16(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
