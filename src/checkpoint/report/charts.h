#pragma once

#include <string>
#include <vector>

#include "checkpoint/report/experts.h"
#include "checkpoint/report/facts.h"
#include "checkpoint/report/heat_map.h"

namespace mantissa::report {

/// Lowest and highest finite value of a colour scale.
struct Range {
  double low;
  double high;
  /// 0 at `low`, 1 at `high` and for an exact tensor.
  double position(double value) const;
};

/// The range of the finite values.
Range range_of(const std::vector<double>& values);

/// From source to output: one bar per kind of layer from where the last one
/// ended. Text stands in the table's cells, so it keeps its size.
std::string waterfall_table(const Plan& plan, const Facts& facts);

/// The map as SVG, a number in every cell.
std::string heat_map_svg(const HeatMap& map);

/// The key to a colour scale in dB.
std::string colour_key_svg(const Range& range);

/// Bars by power of two. `of_ratios` labels bins "4-8" in place of 2^2.
std::string histogram_svg(const ExponentHistogram& histogram,
                          const std::string& title,
                          bool of_ratios);

/// One coloured cell per expert (the worst of several above 128).
std::string expert_strip_svg(const ExpertRow& row, const Range& range);

/// The sizes of the experts' weights against their mean, as a line of bars.
std::string expert_rms_svg(const ExpertRow& row);

}  // namespace mantissa::report
