#include "torch/tensor/fallback.h"

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <mantissa/torch/quantized_tensor.h>

#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using c10::DispatchKey;
using c10::IValue;

struct Counts {
  std::mutex mutex;
  std::map<std::string, std::int64_t> by_name;
};

Counts& counts() {
  static Counts counts;
  return counts;
}

// One call of an operator: what came and what it may do.
class Call {
 public:
  Call(const c10::OperatorHandle& op, torch::jit::Stack* stack)
      : schema_(op.schema()),
        stack_(*stack),
        begin_(stack->size() - schema_.arguments().size()),
        arguments_(stack->begin() + static_cast<std::ptrdiff_t>(begin_),
                   stack->end()) {}

  void unwrap() {
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
      stack_[begin_ + i] = plain(arguments_[i], writes(i));
    }
  }

  // Views of training weights become weights again; `(a!)` returns the weight
  // that came.
  void rewrap() {
    const std::size_t count = schema_.returns().size();
    const std::size_t first = stack_.size() - count;
    for (std::size_t r = 0; r < count; ++r) {
      IValue& out = stack_[first + r];
      if (const IValue* written = written_argument(r)) {
        out = *written;
      } else if (out.isTensor()) {
        out = rewrapped(out.toTensor());
      } else if (out.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor& t : out.toTensorVector()) {
          list.push_back(rewrapped(t));
        }
        out = std::move(list);
      }
    }
  }

 private:
  // c10d's schemas carry no alias information: a trailing underscore is all.
  bool writes(std::size_t argument) const {
    const auto* alias = schema_.arguments()[argument].alias_info();
    if (alias != nullptr && alias->isWrite()) return true;
    const std::string& name = schema_.name();
    return argument == 0 && name.starts_with("c10d::") && name.ends_with('_');
  }

  at::Tensor plain(const at::Tensor& tensor, bool write) const {
    const QuantizedTensorImpl* impl = quantized_impl(tensor);
    if (impl == nullptr) return tensor;
    TORCH_CHECK_NOT_IMPLEMENTED(
        !write || impl->training(),
        schema_.name(),
        ": a quantized weight cannot be written to; "
        "mantissa::dequantize_(module) gives plain weights back");
    return impl->dense();
  }

  IValue plain(const IValue& value, bool write) const {
    if (value.isTensor()) return plain(value.toTensor(), write);
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : value.toTensorVector()) {
        list.push_back(plain(t, write));
      }
      return list;
    }
    if (!value.isList()) return value;
    const auto from = value.toList();
    c10::impl::GenericList list(from.elementType());
    for (const IValue& entry : from) list.push_back(plain(entry, write));
    return list;
  }

  const IValue* written_argument(std::size_t result) const {
    const auto* returned = schema_.returns()[result].alias_info();
    if (returned == nullptr || !returned->isWrite()) return nullptr;
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
      const auto* alias = schema_.arguments()[i].alias_info();
      if (alias != nullptr && alias->beforeSets() == returned->beforeSets()) {
        return &arguments_[i];
      }
    }
    return nullptr;
  }

  at::Tensor rewrapped(const at::Tensor& tensor) const {
    if (!tensor.defined() || is_wrapped(tensor) || !tensor.has_storage()) {
      return tensor;
    }
    for (const IValue& argument : arguments_) {
      if (!argument.isTensor()) continue;
      const at::Tensor& from = argument.toTensor();
      const QuantizedTensorImpl* impl = quantized_impl(from);
      if (impl == nullptr || !impl->training() ||
          !tensor.is_alias_of(impl->state().inner)) {
        continue;
      }
      WeightState state = impl->state();
      state.inner = tensor;
      return wrap_view(from, std::move(state));
    }
    return tensor;
  }

  const c10::FunctionSchema& schema_;
  torch::jit::Stack& stack_;
  std::size_t begin_;
  std::vector<IValue> arguments_;
};

}  // namespace

void dequantizing_fallback(const c10::OperatorHandle& op,
                           c10::DispatchKeySet,
                           torch::jit::Stack* stack) {
  // A tensor made in InferenceMode has no autograd key, at which composites are
  // taken apart: what they call has rules.
  constexpr auto kComposite = DispatchKey::CompositeImplicitAutograd;
  if (op.hasKernelForDispatchKey(kComposite)) {
    op.callBoxedForDispatchKey(kComposite, *stack);
    return;
  }
  const std::string name = c10::toString(op.operator_name());
  {
    const std::lock_guard lock(counts().mutex);
    ++counts().by_name[name];
  }
  TORCH_CHECK_NOT_IMPLEMENTED(!op.hasTag(at::Tag::inplace_view),
                              name,
                              ": the shape of a quantized weight cannot be "
                              "changed in place");
  Call call(op, stack);
  {
    const at::AutoDispatchBelowAutograd below;
    const c10::impl::ExcludeDispatchKeyGuard exclude(
        c10::DispatchKeySet{DispatchKey::Fake, DispatchKey::DeferredInit});
    call.unwrap();
    op.callBoxed(stack);
  }
  call.rewrap();
}

std::map<std::string, std::int64_t> fallback_counts() {
  const std::lock_guard lock(counts().mutex);
  return counts().by_name;
}

void reset_fallback_counts() {
  const std::lock_guard lock(counts().mutex);
  counts().by_name.clear();
}

}  // namespace mantissa
