#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/formats/encoding.h>

namespace mantissa {

struct CompressedRounding;
class LowbitWeight;
class QuantizedTensorImpl;

/// How an inference weight takes part in x * w^T: what its format says of
/// activations, read once from its encoding and fields. Views of a weight,
/// which have its fields, share its rule. The base decodes the weight, after
/// multiplying x by an act_pre_scale if the fields hold one.
class ProductRule {
 public:
  explicit ProductRule(const Encoding& encoding);
  virtual ~ProductRule() = default;

  /// Looks at what the fields hold, once: called when they are new, and again
  /// when copy_() has written to them.
  virtual void observe(const std::vector<at::Tensor>& fields) { (void)fields; }

  /// x [M, K] * w^T + bias ([N], may be undefined): [M, N] in x's dtype. `w` is
  /// stored as [N, K], transposed or not. Autograd is off.
  virtual at::Tensor linear(const at::Tensor& x,
                            const QuantizedTensorImpl& w,
                            const at::Tensor& bias) const;

  /// Of a packed weight [E, N, K]: rows [ends[e - 1], ends[e]) of x [T, K]
  /// times expert e, transposed, as linear() gives them for that expert alone:
  /// [T, N], rows behind the last offset 0. Throws as grouped_product().
  virtual at::Tensor grouped_linear(
      const at::Tensor& x, const std::vector<std::int64_t>& ends) const;

  /// Whether linear() multiplies codes of x with the weight's: a packed weight
  /// has packed() then.
  virtual bool multiplies_codes() const { return false; }
  /// The same for a weight whose codes, from `fields`, are packed.
  virtual std::shared_ptr<ProductRule> packed(
      const std::vector<at::Tensor>& fields,
      std::shared_ptr<const LowbitWeight> codes) const {
    (void)fields, (void)codes;
    return nullptr;
  }

  /// Of a packed weight [N, K]: what linear() does to x before the product,
  /// null where it takes x as it is.
  virtual const CompressedRounding* rounding() const { return nullptr; }

 protected:
  /// x times act_pre_scale, in torch's result dtype; x where there is none.
  at::Tensor pre_scaled(const at::Tensor& x,
                        const QuantizedTensorImpl& w) const;

 private:
  std::optional<std::size_t> pre_scale_;
};

/// The rule of an encoding's format and parameters.
std::shared_ptr<ProductRule> product_rule_of(const Encoding& encoding);

// One function a format with a rule of its own; null where the base does.
std::shared_ptr<ProductRule> compressed_tensor_rule(const Encoding& encoding);
std::shared_ptr<ProductRule> float8_tensor_rule(const Encoding& encoding);
std::shared_ptr<ProductRule> fused_tensor_rule(const Encoding& encoding);
std::shared_ptr<ProductRule> int4_tensor_rule(const Encoding& encoding);
std::shared_ptr<ProductRule> int8_tensor_rule(const Encoding& encoding);
std::shared_ptr<ProductRule> intx_unpacked_to_int8_tensor_rule(
    const Encoding& encoding);

}  // namespace mantissa
