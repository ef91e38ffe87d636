#pragma once

#include <cstdint>

namespace CLI {
class Option;
}

namespace mantissa::cli {

/// Lets an option take whole decimal numbers from `least` to `most` only; what
/// it refuses is named with what was expected.
void expect_integer(CLI::Option& option, std::int64_t least, std::int64_t most);

/// The same for finite decimal numbers.
void expect_number(CLI::Option& option, double least, double most);

constexpr std::int64_t kMostWorkers = 1024;

/// -j: 1 to kMostWorkers.
void expect_workers(CLI::Option& option);

/// Lets an option take finite numbers of dB from 0 only: no nan, no inf, and
/// nothing that overflows to it.
void expect_decibels(CLI::Option& option);

}  // namespace mantissa::cli
