#include "checkpoint/report/heat_map.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace mantissa::report {
namespace {

constexpr int kMostRows = 128;
constexpr std::size_t kMostColumns = 24;

// Column of each module, in the order of the plan.
std::map<std::string, std::size_t> columns_of(const Plan& plan,
                                              const Facts& facts,
                                              HeatMap& map) {
  std::vector<std::size_t> order;
  for (const Measured& m : facts.measured) order.push_back(m.tensor);
  std::ranges::sort(order);
  std::map<std::string, std::size_t> columns;
  for (const std::size_t tensor : order) {
    const std::string module = place_of(plan.tensors[tensor].tensor).module;
    if (columns.contains(module)) continue;
    if (map.columns.size() < kMostColumns) {
      columns[module] = map.columns.size();
      map.columns.push_back(module);
    } else {
      map.pooled_columns = true;
      map.columns.back() = "other";
      columns[module] = kMostColumns - 1;
    }
  }
  return columns;
}

}  // namespace

HeatMap make_heat_map(const Plan& plan, const Facts& facts) {
  HeatMap map;
  const auto columns = columns_of(plan, facts, map);
  std::vector<int> layers;
  for (const Measured& m : facts.measured) {
    layers.push_back(place_of(plan.tensors[m.tensor].tensor).layer);
  }
  std::ranges::sort(layers);
  const int last = layers.empty() ? -1 : layers.back();
  const int band = last / kMostRows + 1;
  map.pooled_rows = band > 1;
  std::map<int, std::size_t> rows;
  for (const int layer : layers) {
    const int first = layer < 0 ? -1 : layer / band * band;
    if (!rows.try_emplace(first, rows.size()).second) continue;
    map.rows.push_back(layer < 0 ? "-"
                       : band > 1
                           ? fmt::format("{}-{}", first, first + band - 1)
                           : std::to_string(first));
  }
  map.cells.resize(map.rows.size() * map.columns.size());
  // Worst first, so the first tensor of a cell is its worst.
  for (const Measured& m : facts.measured) {
    const LoadingTensor& tensor = plan.tensors[m.tensor].tensor;
    const Place place = place_of(tensor);
    const int first = place.layer < 0 ? -1 : place.layer / band * band;
    auto& cell =
        map.cells[rows[first] * map.columns.size() + columns.at(place.module)];
    if (cell) {
      ++cell->tensors;
    } else {
      cell = HeatMap::Cell{m.worst.sqnr, tensor.name};
    }
  }
  return map;
}

}  // namespace mantissa::report
