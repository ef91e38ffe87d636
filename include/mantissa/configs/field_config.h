#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <mantissa/configs/config.h>
#include <mantissa/configs/field_types.h>

namespace mantissa {

class FieldReader;
class FieldWriter;

/// A config whose fields are listed once: JSON is written and read over that
/// list, in torchao's order.
class FieldConfig : public Config {
 public:
  std::string to_json() const final;
  /// torchao's `_version` of this config.
  virtual std::int64_t version() const { return 1; }

 private:
  friend struct FieldAccess;
  virtual void write_fields(FieldWriter& writer) const = 0;
  virtual void read_fields(FieldReader& reader) = 0;
};

/// A config made of a plain struct of fields:
/// `Int4WeightOnlyConfig{{.group_size = 32}}`.
template <class Fields>
class ConfigOf : public FieldConfig, public Fields {
 public:
  ConfigOf() = default;
  explicit ConfigOf(Fields fields) : Fields(std::move(fields)) {}
};

/// A config that is read and written but whose format comes later: validate()
/// and choose() throw Error(Usage) that names what is available.
template <class Fields>
class LaterConfigOf : public ConfigOf<Fields> {
 public:
  using ConfigOf<Fields>::ConfigOf;
  void validate() const final;
  WeightChoice choose(const Shape& shape, DType dtype) const final;
};

/// Throws Error(Usage): "X is not available in this version; available: ...",
/// which lists the configs unless `available` says what there is.
[[noreturn]] void throw_not_available(std::string_view what,
                                      std::string_view available = {});

template <class Fields>
void LaterConfigOf<Fields>::validate() const {
  throw_not_available(this->type());
}

template <class Fields>
WeightChoice LaterConfigOf<Fields>::choose(const Shape&, DType) const {
  throw_not_available(this->type());
}

}  // namespace mantissa
