#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <mantissa/configs/config.h>
#include <mantissa/configs/field_config.h>
#include <mantissa/configs/field_types.h>
#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/formats/float8_tensor.h>

namespace mantissa {

using Json = nlohmann::ordered_json;

// A config lists its fields once, in a function template over the visitor:
//
//   template <class Self, class Visitor>
//   void visit(Self& self, Visitor& field) {
//     field("group_size", self.group_size);
//   }
//
// FieldWriter and FieldReader are the visitors.

/// Puts the fields of a config into the object `_data`.
class FieldWriter {
 public:
  explicit FieldWriter(Json& data) : data_(data) {}

  template <class T>
  void operator()(std::string_view name, const T& value) {
    put(member(name), value);
  }

 private:
  template <class T>
  void put(Json& out, const std::optional<T>& value) {
    if (value) put(out, *value);  // else null, as member() made it
  }
  template <class Enum>
  void put(Json& out, const EnumField<Enum>& value) {
    put_enum(out, spelling(value.value), value.form);
  }
  void put(Json& out, bool value);
  void put(Json& out, std::int64_t value);
  void put(Json& out, double value);
  void put(Json& out, const std::string& value);
  void put(Json& out, DType value);
  void put(Json& out, const Granularity& value);
  void put(Json& out, const Granularities& value);
  void put(Json& out, const Float8MMConfig& value);
  void put(Json& out, const std::vector<std::int64_t>& value);
  void put(Json& out, const ConfigPtr& value);
  void put(Json& out, const std::vector<FqnEntry>& value);
  void put(Json&, const TensorField&) {}
  void put_enum(Json& out, const EnumSpelling& value, EnumForm form);
  Json& member(std::string_view name);

  Json& data_;
};

/// Where values come from: JSON, or words of a command line in JSON strings.
enum class TextKind { Json, Words };

/// What reading a config and those inside it has in common.
struct ReadContext {
  TextKind kind = TextKind::Json;
  int depth = 0;  ///< configs around this one
  std::vector<std::string> warnings;
};

/// Takes the fields of a config from the object `_data`. Absent ones keep their
/// defaults; everything wrong throws Error(Usage).
class FieldReader {
 public:
  FieldReader(std::string_view owner, const Json& data, ReadContext& context);

  template <class T>
  void operator()(std::string_view name, T& value) {
    if (const Json* found = find(name)) get(*found, value);
  }
  /// True if the field is there, null or not.
  bool has(std::string_view name) const;
  /// Warns of the fields that nobody asked for; in words they are errors.
  void finish();
  /// Throws "OWNER: FIELD: expected EXPECTED, got VALUE".
  [[noreturn]] void refuse(const std::string& expected, const Json& got) const;

 private:
  template <class T>
  void get(const Json& from, std::optional<T>& value) {
    if (is_none(from)) {
      value.reset();
    } else {
      get(from, value.emplace());
    }
  }
  template <class Enum>
  void get(const Json& from, EnumField<Enum>& value) {
    const EnumSpelling kind = spelling(Enum{});
    const std::string text = enum_text(from, kind.type);
    std::optional<Enum> found = enum_from_spelling<Enum>(text);
    if (!found && is_word(from)) {
      found = enum_from_spelling<Enum>(in_capitals(text));
    }
    if (!found) refuse_enum(spellings<Enum>(), text, from);
    value = {*found, form_of(from, spelling(*found), value.form)};
  }
  void get(const Json& from, bool& value);
  void get(const Json& from, std::int64_t& value);
  void get(const Json& from, double& value);
  void get(const Json& from, std::string& value);
  void get(const Json& from, DType& value);
  void get(const Json& from, Granularity& value);
  void get(const Json& from, Granularities& value);
  void get(const Json& from, Float8MMConfig& value);
  void get(const Json& from, std::vector<std::int64_t>& value);
  void get(const Json& from, ConfigPtr& value);
  void get(const Json& from, std::vector<FqnEntry>& value);
  void get(const Json& from, TensorField& value);

  const Json* find(std::string_view name);
  bool is_none(const Json& from) const;
  bool is_word(const Json& from) const;
  std::string enum_text(const Json& from, std::string_view type) const;
  // A member's name as typed in small letters; words of a command line only.
  static std::string in_capitals(std::string_view text);
  [[noreturn]] void refuse_enum(const std::vector<EnumSpelling>& known,
                                std::string_view text,
                                const Json& got) const;
  EnumForm form_of(const Json& from,
                   const EnumSpelling& spelling,
                   EnumForm current) const;
  const Json& nested(const Json& from, std::string_view type) const;

  std::string owner_;
  std::string field_;  // the one being read
  const Json& data_;
  ReadContext& context_;
  std::set<std::string, std::less<>> known_;
};

/// What the JSON functions may do with a FieldConfig.
struct FieldAccess {
  static void write(const FieldConfig& config, FieldWriter& writer) {
    config.write_fields(writer);
  }
  static void read(FieldConfig& config, FieldReader& reader) {
    config.read_fields(reader);
  }
};

/// Reads one config object and those inside it.
ConfigPtr read_config(const Json& value, ReadContext& context);

/// The object that to_json() prints.
Json config_object(const Config& config);

/// Text with the values of long JSON cut, for messages.
std::string shown(const Json& value);

}  // namespace mantissa
