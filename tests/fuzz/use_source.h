#pragma once

#include <mantissa/checkpoint/source.h>

namespace mantissa::fuzz {

/// Does with an opened checkpoint what inspect, verify and plan do. Whatever
/// cannot be read is an Error(Input) or Error(Usage) or a finding.
void use_source(const CheckpointSource& source);

}  // namespace mantissa::fuzz
