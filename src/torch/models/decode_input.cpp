#include "torch/models/decode_input.h"

#include "torch/ops/compressed_activations.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/packed_int8_rule.h"

namespace mantissa {
namespace {

bool same(const CompressedRounding* a, const CompressedRounding* b) {
  return a == b || (a != nullptr && b != nullptr && a->same_as(*b));
}

bool same(const PackedInt8Rule* a, const PackedInt8Rule* b) {
  return a == b || (a != nullptr && b != nullptr && a->same_input(*b));
}

}  // namespace

StepInput::StepInput(c10::ScalarType type)
    : type_(type), bf16_(mantissa::multiplies_bf16(type)) {}

bool StepInput::multiplies_bf16(const StepLinear& linear) const {
  return bf16_ && !takes_int8(linear.compute) &&
         linear.w.group >= kernels::kLowbitChunk;
}

void StepInput::set(const at::Tensor& x) {
  x_ = &x;
  values_.reset();
  made_ = 0;
}

const at::Tensor& StepInput::values() {
  if (!values_.defined()) values_ = in_dtype(*x_, type_);
  return values_;
}

// made_ where there is none.
std::size_t StepInput::find(const StepLinear& linear) const {
  std::size_t i = 0;
  while (i < made_ && !(forms_[i].compute == linear.compute &&
                        forms_[i].bf16 == multiplies_bf16(linear) &&
                        same(forms_[i].int8_of, linear.int8) &&
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
  forms_[at].bf16 = multiplies_bf16(linear);
  forms_[at].int8_of = linear.int8;
  make(forms_[at]);
  ++made_;
}

const StepForm& StepInput::form(const StepLinear& linear) const {
  return forms_[find(linear)];
}

void StepInput::make_codes(StepForm& form) {
  const std::int64_t k = x_->numel();
  if (type_ == at::kFloat) {
    return quantize_lowbit_row(
        x_->const_data_ptr<float>(), k, form.compute, form.codes);
  }
  quantize_lowbit_rows(values().view({1, k}), form.compute, form.codes);
}

void StepInput::make(StepForm& form) {
  if (form.int8_of != nullptr) {
    return form.int8_of->take_input(values().view({1, x_->numel()}), form.int8);
  }
  if (takes_int8(form.compute)) return make_codes(form);
  const std::int64_t k = x_->numel();
  at::Tensor x = values();
  if (form.rounding != nullptr) {
    x = (*form.rounding)(x.view({1, k})).contiguous();
  }
  if (form.bf16) {
    form.narrow.resize(1, k);
    return form.narrow.fill(reinterpret_cast<const std::uint16_t*>(
                                x.const_data_ptr<at::BFloat16>()),
                            k,
                            0,
                            1);
  }
  x = in_dtype(x, at::kFloat);
  form.floats.resize(1, k);
  form.floats.fill(x.const_data_ptr<float>(), k, 0, 1);
}

}  // namespace mantissa
