#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <mantissa/core/enums.h>
#include <mantissa/core/granularity.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// How a file spells an enumerator: as an object with the member's name, or as
/// a raw string with the value. torchao's str-enums occur in both forms.
enum class EnumForm { Member, Raw };

/// An enumerator that remembers how a file spelled it, so that reading and
/// writing a config keeps its bytes. The form never takes part in comparisons.
template <class Enum>
struct EnumField {
  Enum value{};
  EnumForm form = EnumForm::Member;

  constexpr EnumField() = default;
  constexpr EnumField(Enum value, EnumForm form = EnumForm::Member)
      : value(value), form(form) {}
  constexpr operator Enum() const { return value; }
};

/// None, one granularity for both sides, or a list [activation, weight].
using Granularities =
    std::variant<std::monostate, Granularity, std::vector<Granularity>>;

/// The two sides of a Granularities field.
struct GranularityPair {
  Granularity activation;
  Granularity weight;
};

/// Both sides, `otherwise` where the field is None. Throws Error(Usage) naming
/// `field` when a list has not two entries.
GranularityPair activation_and_weight(const Granularities& granularities,
                                      const Granularity& otherwise,
                                      std::string_view field);

/// A field that holds a tensor, such as a scale that calibration found: None,
/// or values that a program gives. JSON knows only null for it.
struct TensorField {
  std::optional<HostTensor> value = {};

  TensorField() = default;
  TensorField(HostTensor tensor) : value(std::move(tensor)) {}
  /// The same dtype, shape and bytes.
  bool operator==(const TensorField& other) const;
};

/// An expression such as "per_group(32)", "PerBlock(128x128)" or "per_row":
/// torchao's class names in either case, arguments in parentheses. Throws
/// Error(Usage) listing the spellings.
Granularity parse_granularity(std::string_view text);

}  // namespace mantissa
