#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/plan.h"
#include "checkpoint/report/facts.h"

namespace mantissa::report {

/// SQNR by layer and module. A cell is the worst matrix of what falls in it.
struct HeatMap {
  struct Cell {
    double sqnr;
    std::string tensor;  ///< the worst one's name
    std::size_t tensors = 1;
  };
  std::vector<std::string> rows;     ///< "0", "0-3" where pooled, "-" outside
  std::vector<std::string> columns;  ///< modules in order of appearance
  std::vector<std::optional<Cell>> cells;  ///< row by row
  bool pooled_rows = false;
  bool pooled_columns = false;

  const std::optional<Cell>& at(std::size_t row, std::size_t column) const {
    return cells[row * columns.size() + column];
  }
};

/// At most 128 rows (layers are pooled in bands above) and 24 columns (what
/// does not fit is pooled as "other").
HeatMap make_heat_map(const Plan& plan, const Facts& facts);

}  // namespace mantissa::report
