#pragma once

#include <string>

#include "checkpoint/report/facts.h"
#include "checkpoint/report/report.h"

namespace mantissa::report {

/// summary.json: schema_version 1.
std::string summary_json(const Input& input, const Facts& facts);

/// tensors.csv: a heading and one line per tensor of the plan.
std::string tensors_csv(const Input& input);

/// report.md: a section to paste into a model card.
std::string markdown_page(const Input& input, const Facts& facts);

/// report.html: one page that needs neither network nor script.
std::string html_page(const Input& input, const Facts& facts);

/// The command as a shell takes it.
std::string command_line(const Input& input);

/// "smollm2": the last component of the input's path.
std::string model_name(const Input& input);

/// SQNR of everything measured: "41.80 dB", "exact", or "" where nothing was.
std::string overall_quality(const Facts& facts);

}  // namespace mantissa::report
