#include "torch/models/decode_input.h"

#include "torch/ops/compressed_activations.h"
#include "torch/ops/lowbit_rows.h"

namespace mantissa {
namespace {

bool same(const CompressedRounding* a, const CompressedRounding* b) {
  return a == b || (a != nullptr && b != nullptr && a->same_as(*b));
}

}  // namespace

void StepInput::set(const at::Tensor& x) {
  x_ = &x;
  made_ = 0;
}

// made_ where there is none.
std::size_t StepInput::find(const StepLinear& linear) const {
  std::size_t i = 0;
  while (i < made_ && !(forms_[i].compute == linear.compute &&
                        same(forms_[i].rounding, linear.rounding))) {
    ++i;
  }
  return i;
}

void StepInput::prepare(const StepLinear& linear) {
  const std::size_t at = find(linear);
  if (at < made_) return;
  if (at == forms_.size()) forms_.emplace_back();
  forms_[at].compute = linear.compute;
  forms_[at].rounding = linear.rounding;
  make(forms_[at]);
  ++made_;
}

const StepForm& StepInput::form(const StepLinear& linear) const {
  return forms_[find(linear)];
}

void StepInput::make(StepForm& form) const {
  const std::int64_t k = x_->numel();
  const auto* x = x_->const_data_ptr<float>();
  if (takes_int8(form.compute)) {
    return quantize_lowbit_row(x, k, form.compute, form.codes);
  }
  at::Tensor rounded;
  if (form.rounding != nullptr) {
    rounded = (*form.rounding)(x_->view({1, k})).contiguous();
    x = rounded.const_data_ptr<float>();
  }
  form.floats.resize(1, k);
  form.floats.fill(x, k, 0, 1);
}

}  // namespace mantissa
