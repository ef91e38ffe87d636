#pragma once

namespace mantissa::support {

/// How much slower this machine is at this moment than the one on which the
/// tool's limits in seconds are meant, at least 1. The yardstick is a JSON
/// document of 100,000 tensors, read, hashed, sorted and freed by nlohmann-json
/// and the standard library, nothing of it ours. It was never timed on that
/// machine: its usual 0.27 s are set so that a limit of 2 s is 7.4 yardsticks,
/// where a plan of 100,000 tensors took 5.5 to 6.1 of them on a slow one, as
/// 1.65 s are of 2 s. Takes a second; measure it beside what it stands for, as
/// virtual machines change their speed.
double slowness();

}  // namespace mantissa::support
