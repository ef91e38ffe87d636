#pragma once

#include <array>
#include <string_view>

namespace mantissa::kernels {

// Words of kernel names (style: `<op>_<activation>_<weight>_<target>`). An
// encoder serves every input dtype and has no weight word: `<op>_<target>`.

/// Operators that encode weights.
inline constexpr std::array<std::string_view, 4> kEncoderOps = {
    "absmax_runs",      // largest magnitude of each run of elements
    "group_minmax",     // minimum and maximum of each group of columns
    "quantize_affine",  // integer codes of each group of columns
    "quantize_float8",  // float8 codes of runs that have one scale each
};

/// Instruction sets and reference forms.
inline constexpr std::array<std::string_view, 3> kTargets = {
    "ref",
    "avx2",
    "avx512",
};

}  // namespace mantissa::kernels
