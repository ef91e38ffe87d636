#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// A stored weight format: one row of the table in src/formats/registry.cpp.
struct Format {
  std::string_view name;     ///< torchao's class name
  std::string_view summary;  ///< one line for people
  /// The encoding of a metadata entry: `attributes` is the text of `_data`,
  /// `fields` what the file holds (any order). Absent optional attributes get
  /// the meaning of the version that lacked them. Throws Error(Input) naming
  /// attribute or field, expected and found.
  std::shared_ptr<const Encoding> (*parse)(std::string_view attributes,
                                           std::span<const FieldLayout> fields);
};

/// All formats, in the order of the documentation.
std::span<const Format> formats();

/// The format of torchao's class name; null if this version has none.
const Format* find_format(std::string_view name);

}  // namespace mantissa
