#pragma once

namespace mantissa::support {

/// How much slower this machine is at this moment than the one on which the
/// tool's limits in seconds are meant, at least 1. That one plans 100,000
/// tensors in 1.65 s of processor time and needs 0.27 s for the yardstick: a
/// JSON document of 100,000 tensors, read, hashed, sorted and freed by
/// nlohmann-json and the standard library, nothing of it ours. Takes a second;
/// measure it right before what it stands beside, since virtual machines change
/// their speed.
double slowness();

}  // namespace mantissa::support
