#pragma once

/// Marks what the shared library of the torch half exports.
#define MANTISSA_API __attribute__((visibility("default")))
