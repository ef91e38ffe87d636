#pragma once

#include <array>
#include <string_view>

namespace mantissa::kernels {

// Words of kernel names (style: `<op>_<activation>_<weight>_<target>`). An
// encoder serves every input dtype and has no weight word: `<op>_<target>`.

/// Operators that encode weights.
inline constexpr std::array<std::string_view, 2> kEncoderOps = {
    "group_minmax",     // minimum and maximum of each group of columns
    "quantize_affine",  // integer codes of each group of columns
};

/// Instruction sets and reference forms.
inline constexpr std::array<std::string_view, 3> kTargets = {
    "ref",
    "avx2",
    "avx512",
};

}  // namespace mantissa::kernels
