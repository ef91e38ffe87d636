#pragma once

#include <string>
#include <vector>

#include "core/spell_numbers.h"

namespace mantissa::cli {

/// A text table with aligned columns: the first row is the heading. Numbers
/// (columns named in `right`) are aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heading,
                 std::vector<std::size_t> right = {});
  /// Cells may hold names from files: control characters come out escaped.
  void add(std::vector<std::string> row);
  /// Lines that end in '\n', columns two spaces apart, no trailing spaces.
  std::string text() const;
  /// The same as a Markdown table.
  std::string markdown() const;

 private:
  bool is_right(std::size_t column) const;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> right_;
};

}  // namespace mantissa::cli
