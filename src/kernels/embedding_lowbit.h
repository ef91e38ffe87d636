#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/embedding_lowbit_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Rows out of a low-bit weight (op "embedding_lowbit").
struct EmbeddingLowbitProblem {
  int32_t bits = 4;
  Element out = Element::F32;
};

struct EmbeddingLowbitKernel {
  const char* name;
  const char* (*refuses)(const EmbeddingLowbitProblem&, const Caps&);
  void (*run)(const EmbeddingLowbitArgs&, std::int64_t, std::int64_t);
};

/// Rows in order of preference.
std::span<const EmbeddingLowbitKernel> embedding_lowbit_kernels();

/// The preferred row of this machine.
const EmbeddingLowbitKernel& select_embedding_lowbit(
    const EmbeddingLowbitProblem& problem);

void list_embedding_lowbit(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
