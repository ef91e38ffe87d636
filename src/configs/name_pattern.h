#pragma once

#include <string>

#include <mantissa/configs/name_rules.h>

namespace mantissa {

/// The regular expression whose full match is the pattern's match, valid for
/// RE2 and for Python's re alike. Exact names are escaped.
std::string full_match_regex(const NamePattern& pattern);

}  // namespace mantissa
