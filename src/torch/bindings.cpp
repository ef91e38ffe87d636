// The only file that registers anything with torch's dispatcher. The backend
// fallback of DeferredInit can stand once in a process, so the torch half is
// one shared library.
#include <torch/library.h>

#include "torch/ops/fake_quantize_rows.h"
#include "torch/ops/linear_int8.h"
#include "torch/ops/qscaled_dot_product.h"
#include "torch/tensor/compute_rules.h"
#include "torch/tensor/fallback.h"
#include "torch/tensor/structural_rules.h"

TORCH_LIBRARY(mantissa, library) {
  mantissa::define_fake_quantize_rows(library);
  mantissa::define_linear_int8(library);
  mantissa::define_qscaled_dot_product(library);
}

TORCH_LIBRARY_IMPL(_, DeferredInit, library) {
  library.fallback(torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(aten, DeferredInit, library) {
  mantissa::register_compute_rules(library);
}

TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<
                   &mantissa::dequantizing_fallback>());
}

TORCH_LIBRARY_IMPL(aten, Fake, library) {
  mantissa::register_structural_rules(library);
}
