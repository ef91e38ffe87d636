#pragma once

#include <string>

#include "checkpoint/report/facts.h"
#include "checkpoint/report/report.h"

namespace mantissa::report {

// The sections of report.html, each "" where it has nothing to say.
std::string key_numbers_section(const Input& input, const Facts& facts);
std::string size_section(const Input& input, const Facts& facts);
std::string quality_section(const Input& input, const Facts& facts);
std::string histogram_section(const Input& input, const Facts& facts);
std::string expert_section(const Input& input);
std::string decision_section(const Input& input);
std::string tensor_section(const Input& input);
std::string provenance_section(const Input& input, const Facts& facts);

}  // namespace mantissa::report
