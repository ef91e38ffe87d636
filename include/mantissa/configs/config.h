#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// What a config says about one weight: an encoding, or why there is none.
struct WeightChoice {
  std::shared_ptr<const Encoding> encoding;  ///< null when refused
  std::string refusal;       ///< "K = 576 is not a multiple of group_size 128"
  std::string remedy;        ///< "use --group-size 64 or 32"
  std::string caution = {};  ///< what the encoding is not fit for, or ""
};

/// A user-facing quantization config: torchao's fields, torchao's JSON.
/// Immutable once built; every subclass is a plain struct of fields.
class Config {
 public:
  virtual ~Config() = default;

  /// torchao's class name: "Int8WeightOnlyConfig".
  virtual std::string_view type() const = 0;
  /// torchao's JSON object (config_to_dict), compact, fields in torchao's
  /// order.
  virtual std::string to_json() const = 0;
  /// Throws Error(Usage) naming the field, the rule and the remedy; also when
  /// the config's format is not available in this version (then the message
  /// names what is).
  virtual void validate() const = 0;
  /// How a weight [N, K] or [E, N, K] of this dtype is stored. Calls that
  /// validate() would refuse throw the same Error.
  virtual WeightChoice choose(const Shape& shape, DType dtype) const = 0;
};

using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace mantissa
