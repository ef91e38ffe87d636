#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Text of a file that travels with the weights ("generation_config.json"), at
/// most 16 MB; empty if there is none. Throws Error(Input) for a larger one or
/// one that cannot be read.
std::optional<std::string> companion_text(const CheckpointSource& source,
                                          std::string_view name);

/// config.json of the model at `label`. Throws Error(Usage) with the remedy if
/// there is none.
const std::string& config_text(const CheckpointSource& source,
                               const std::string& label);

}  // namespace mantissa
