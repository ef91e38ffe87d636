#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace mantissa {

/// An operator without a rule: inference weights become their values, training
/// weights their high-precision tensor, which it may update in place. Counted
/// by name.
void dequantizing_fallback(const c10::OperatorHandle& op,
                           c10::DispatchKeySet keys,
                           torch::jit::Stack* stack);

}  // namespace mantissa
