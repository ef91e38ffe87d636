#include "checkpoint/report/charts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "checkpoint/report/escape.h"
#include "checkpoint/report/palette.h"
#include "core/spell_numbers.h"

namespace mantissa::report {
namespace {

constexpr std::size_t kMostStripCells = 128;

// One bar of the waterfall, in thousandths of the width.
std::string bar_svg(double from, double to, const char* css) {
  if (from == to) return "";
  const double left = std::min(from, to);
  return fmt::format(
      "<svg class=\"bar\" viewBox=\"0 0 1000 16\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\"><rect class=\"{}\" x=\"{:.1f}\" y=\"1\" "
      "width=\"{:.1f}\" height=\"14\"/></svg>",
      css,
      left,
      std::max(std::abs(to - from), 1.5));
}

std::string waterfall_row(const std::string& label,
                          const std::string& bar,
                          const std::string& change,
                          const std::string& detail) {
  return fmt::format(
      "<tr><th scope=\"row\">{}</th><td class=\"plot\">{}</td>"
      "<td class=\"n\">{}</td><td class=\"n wide\">{}</td></tr>\n",
      label,
      bar,
      change,
      detail);
}

std::string heat_cell(const HeatMap::Cell& cell,
                      const Range& range,
                      double x,
                      double y,
                      double width) {
  const double position = range.position(cell.sqnr);
  std::string note = fmt::format("{}: {} dB", cell.tensor, spell_db(cell.sqnr));
  if (cell.tensors > 1) {
    note += fmt::format(", the worst of {}", cell.tensors);
  }
  return fmt::format(
      "<g><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"17\" "
      "fill=\"{}\"/><text x=\"{}\" y=\"{}\" fill=\"{}\" "
      "text-anchor=\"middle\">{}</text></g>\n",
      html(note),
      x,
      y,
      width - 1,
      colour_at(position),
      x + width / 2,
      y + 12.5,
      ink_on(position),
      std::isinf(cell.sqnr) ? "exact" : fmt::format("{:.1f}", cell.sqnr));
}

constexpr std::size_t kGap = ExponentHistogram::kBins;

// Bins from the first used to the last; three and more empty ones in a row are
// one kGap.
std::vector<std::size_t> shown_bins(const ExponentHistogram& histogram) {
  std::vector<std::size_t> shown;
  std::size_t last = 0;
  for (std::size_t i = 0; i < ExponentHistogram::kBins; ++i) {
    if (histogram.bins[i] == 0) continue;
    if (!shown.empty() && i - last > 3) {
      shown.push_back(kGap);
    } else {
      while (!shown.empty() && ++last < i) shown.push_back(last);
    }
    shown.push_back(i);
    last = i;
  }
  return shown;
}

std::string text_at(double x, double y, const std::string& text) {
  return fmt::format(
      "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
      x,
      y,
      text);
}

// "2" with a raised exponent, or "4-8".
std::string bin_label(std::size_t bin, bool of_ratios) {
  const int exponent = static_cast<int>(bin) + ExponentHistogram::kLowest;
  if (of_ratios) {
    return fmt::format(
        "{:g}-{:g}", std::ldexp(1.0, exponent), std::ldexp(1.0, exponent + 1));
  }
  return fmt::format("2<tspan dy=\"-4\" font-size=\"8\">{}</tspan>", exponent);
}

}  // namespace

double Range::position(double value) const {
  if (std::isinf(value)) return value > 0 ? 1 : 0;
  return high > low ? (value - low) / (high - low) : 0.5;
}

Range range_of(const std::vector<double>& values) {
  Range range{INFINITY, -INFINITY};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {0, 0};
  return range;
}

std::string waterfall_table(const Plan& plan, const Facts& facts) {
  std::int64_t source = 0;
  std::int64_t output = 0;
  for (const KindSize& kind : facts.kinds) {
    source += kind.source_bytes;
    output += kind.output_bytes;
  }
  const std::int64_t headers = plan.output_bytes - output;
  // The highest level that the running sum reaches.
  std::int64_t level = source;
  std::int64_t top = std::max(source, plan.output_bytes);
  for (const KindSize& kind : facts.kinds) {
    level += kind.output_bytes - kind.source_bytes;
    top = std::max(top, level);
  }
  const double scale = top == 0 ? 0 : 1000.0 / static_cast<double>(top);
  const auto at = [&](std::int64_t bytes) {
    return static_cast<double>(bytes) * scale;
  };
  std::string out =
      "<table class=\"bars\"><thead><tr><th>layers</th><td></td>"
      "<th class=\"n\">change</th><th class=\"n wide\">before &rarr; after"
      "</th></tr></thead><tbody>\n";
  out += waterfall_row(
      "Source", bar_svg(0, at(source), "whole"), "", format_bytes(source));
  level = source;
  for (const KindSize& kind : facts.kinds) {
    const std::int64_t change = kind.output_bytes - kind.source_bytes;
    out += waterfall_row(
        fmt::format("{} <small>&times;{}</small>",
                    html(kind.kind),
                    format_count(kind.tensors)),
        bar_svg(
            at(level), at(level + change), change > 0 ? "grows" : "shrinks"),
        change == 0 ? "0" : (change > 0 ? "+" : "") + format_bytes(change),
        fmt::format("{} &rarr; {}",
                    format_bytes(kind.source_bytes),
                    format_bytes(kind.output_bytes)));
    level += change;
  }
  if (headers != 0) {
    out += waterfall_row("File headers",
                         bar_svg(at(level), at(level + headers), "grows"),
                         "+" + format_bytes(headers),
                         "");
  }
  out += waterfall_row("Output",
                       bar_svg(0, at(plan.output_bytes), "whole"),
                       "",
                       format_bytes(plan.output_bytes));
  return out + "</tbody></table>\n";
}

std::string heat_map_svg(const HeatMap& map) {
  constexpr double kLabel = 46;
  constexpr double kWidth = 42;
  constexpr double kHeight = 18;
  constexpr std::size_t kLongest = 30;
  std::vector<double> values;
  for (const auto& cell : map.cells) {
    if (cell) values.push_back(cell->sqnr);
  }
  const Range range = range_of(values);
  std::size_t longest = 0;
  for (const std::string& column : map.columns) {
    longest = std::max(longest, shortened(column, kLongest).size());
  }
  const double head = 14 + 6.3 * static_cast<double>(longest);
  const double width =
      kLabel + kWidth * static_cast<double>(map.columns.size());
  const double height = head + kHeight * static_cast<double>(map.rows.size());
  std::string out = fmt::format(
      "<svg width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
      "{1:.0f}\" role=\"img\" aria-label=\"SQNR in dB by layer and module\">\n"
      "<text x=\"{2}\" y=\"{3:.0f}\" text-anchor=\"end\">layer</text>\n",
      width,
      height,
      kLabel - 8,
      head - 6);
  for (std::size_t c = 0; c < map.columns.size(); ++c) {
    out += fmt::format(
        "<text transform=\"translate({:.0f},{:.0f}) rotate(-90)\"><title>{}"
        "</title>{}</text>\n",
        kLabel + kWidth * (static_cast<double>(c) + 0.5) + 4,
        head - 6,
        html(map.columns[c]),
        html(shortened(map.columns[c], kLongest)));
  }
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    const double y = head + kHeight * static_cast<double>(r);
    out +=
        fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                    kLabel - 8,
                    y + 12.5,
                    map.rows[r]);
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      if (const auto& cell = map.at(r, c)) {
        out += heat_cell(
            *cell, range, kLabel + kWidth * static_cast<double>(c), y, kWidth);
      }
    }
  }
  return out + "</svg>\n";
}

std::string colour_key_svg(const Range& range) {
  std::string out =
      "<svg class=\"key\" width=\"300\" height=\"34\" viewBox=\"0 0 300 34\" "
      "role=\"img\" aria-label=\"Colour scale\">\n";
  for (int i = 0; i < 60; ++i) {
    out += fmt::format(
        "<rect x=\"{}\" y=\"0\" width=\"5.5\" height=\"14\" fill=\"{}\"/>",
        i * 5,
        colour_at(i / 59.0));
  }
  return out +
         fmt::format(
             "\n<text x=\"0\" y=\"29\">{:.1f} dB, worst</text>"
             "<text x=\"300\" y=\"29\" text-anchor=\"end\">{:.1f} dB</text>"
             "</svg>\n",
             range.low,
             range.high);
}

std::string histogram_svg(const ExponentHistogram& histogram,
                          const std::string& title,
                          bool of_ratios) {
  const auto& bins = histogram.bins;
  const std::vector<std::size_t> shown = shown_bins(histogram);
  if (shown.empty()) return "<p>No values.</p>\n";
  const double step = of_ratios ? 52 : 32;
  const auto most = static_cast<double>(*std::ranges::max_element(bins));
  const double width = 12 + step * static_cast<double>(shown.size());
  std::string out = fmt::format(
      "<svg width=\"{0:.0f}\" height=\"176\" viewBox=\"0 0 {0:.0f} 176\" "
      "role=\"img\" aria-label=\"{1}\">\n<line class=\"axis\" x1=\"0\" "
      "y1=\"146\" x2=\"{0:.0f}\" y2=\"146\"/>\n",
      width,
      html(title));
  for (std::size_t at = 0; at < shown.size(); ++at) {
    const std::size_t i = shown[at];
    const double x = 6 + step * static_cast<double>(at);
    if (i == kGap) {
      out += text_at(x + step / 2, 163, "...");
      continue;
    }
    if (bins[i] > 0) {
      const double height =
          std::max(1.0, 124 * static_cast<double>(bins[i]) / most);
      out += fmt::format(
          "<rect class=\"column\" x=\"{:.0f}\" y=\"{:.1f}\" "
          "width=\"{:.0f}\" height=\"{:.1f}\"/>",
          x + 2,
          146 - height,
          step - 4,
          height);
      out += text_at(x + step / 2, 142 - height, format_short(bins[i]));
    }
    out += text_at(x + step / 2, 163, bin_label(i, of_ratios));
  }
  return out + "</svg>\n";
}

std::string expert_strip_svg(const ExpertRow& row, const Range& range) {
  const std::size_t pool = (row.sqnr.size() - 1) / kMostStripCells + 1;
  const std::size_t cells = (row.sqnr.size() + pool - 1) / pool;
  std::string out = fmt::format(
      "<svg class=\"strip\" viewBox=\"0 0 {} 10\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\">",
      cells);
  for (std::size_t i = 0; i < cells; ++i) {
    const auto begin = row.sqnr.begin() + static_cast<std::ptrdiff_t>(i * pool);
    const auto end = static_cast<std::size_t>(row.sqnr.end() - begin) > pool
                         ? begin + static_cast<std::ptrdiff_t>(pool)
                         : row.sqnr.end();
    out += fmt::format(
        "<rect x=\"{}\" y=\"0\" width=\"1.03\" height=\"10\" fill=\"{}\"/>",
        i,
        colour_at(range.position(*std::min_element(begin, end))));
  }
  return out + "</svg>";
}

std::string expert_rms_svg(const ExpertRow& row) {
  const std::size_t pool = (row.rms.size() - 1) / kMostStripCells + 1;
  const double most = *std::ranges::max_element(row.rms);
  std::string out = fmt::format(
      "<svg class=\"strip\" viewBox=\"0 0 {} 100\" "
      "preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\">",
      (row.rms.size() + pool - 1) / pool);
  for (std::size_t i = 0; i < row.rms.size(); i += pool) {
    double peak = 0;
    for (std::size_t j = i; j < std::min(i + pool, row.rms.size()); ++j) {
      peak = std::max(peak, row.rms[j]);
    }
    const double height = most > 0 ? 100 * peak / most : 0;
    out += fmt::format(
        "<rect class=\"column\" x=\"{}\" y=\"{:.1f}\" width=\".9\" "
        "height=\"{:.1f}\"/>",
        i / pool,
        100 - height,
        height);
  }
  return out + "</svg>";
}

}  // namespace mantissa::report
