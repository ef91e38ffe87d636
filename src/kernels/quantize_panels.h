#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/quantize_panels_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Dynamic quantization of activations by groups (op "quantize_panels").
struct QuantizePanelsProblem {
  std::int64_t m = 1;
  std::int64_t k = 32;
  std::int64_t group = 32;
};

struct QuantizePanelsKernel {
  const char* name;
  const char* (*refuses)(const QuantizePanelsProblem&, const Caps&);
  void (*run)(const QuantizePanelsArgs&, std::int64_t, std::int64_t);
};

/// Rows in order of preference.
std::span<const QuantizePanelsKernel> quantize_panels_kernels();

/// The preferred row of this machine.
const QuantizePanelsKernel& select_quantize_panels(
    const QuantizePanelsProblem& problem);

void list_quantize_panels(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
