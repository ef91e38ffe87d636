#include "torch/models/decode_input.h"

#include <cstddef>

#include "torch/ops/lowbit_rows.h"

namespace mantissa {

void StepInput::set(const at::Tensor& x) {
  x_ = &x;
  for (bool& made : made_) made = false;
}

void StepInput::prepare(Int8Compute compute) {
  const auto at = static_cast<std::size_t>(compute);
  if (made_[at]) return;
  quantize_lowbit_row(
      x_->const_data_ptr<float>(), x_->numel(), compute, buffers_[at]);
  made_[at] = true;
}

kernels::LowbitActivations StepInput::codes(Int8Compute compute) const {
  return buffers_[static_cast<std::size_t>(compute)].view();
}

}  // namespace mantissa
