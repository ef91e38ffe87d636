#pragma once

#include <array>
#include <string_view>

namespace mantissa::kernels {

// Words of kernel names (style: `<op>_<activation>_<weight>_<target>`). An
// encoder serves every input dtype and has no weight word: `<op>_<target>`.

/// Operators on weights in memory: encoders, decoders, conversions.
inline constexpr std::array<std::string_view, 14> kEncoderOps = {
    "absmax_runs",        // largest magnitude of each run of elements
    "convert",            // one floating dtype to another
    "dequantize_affine",  // values of integer codes
    "error_sums",         // signal, noise and extremes of each row
    "find_nonfinite",     // first NaN or infinity
    "group_minmax",       // minimum and maximum of each group of columns
    "pack_bits",          // codes of 1 to 8 bits to bytes
    "pack_universal",     // a weight as torchao's linear kernels read it
    "quantize_affine",    // integer codes of each group of columns
    "quantize_float8",    // float8 codes of runs that have one scale each
    "quantize_int4",      // 4-bit codes with their parameters
    "search_affine",      // scale and zero point of least squared error
    "unpack_bits",        // the inverse of pack_bits
    "unpack_universal",   // the inverse of pack_universal
};

/// Products with a weight.
inline constexpr std::array<std::string_view, 1> kLinearOps = {
    "linear_int8",  // int8 activations with int8 weights
};

/// Activation words of a product: what x is when the sums are made.
inline constexpr std::array<std::string_view, 1> kActivations = {
    "i8dyn",  // int8 codes and scales found in the call
};

/// Weight words of a product.
inline constexpr std::array<std::string_view, 1> kWeights = {
    "i8c",  // int8, a scale for each row (output channel) or one for all
};

/// Instruction sets and reference forms.
inline constexpr std::array<std::string_view, 3> kTargets = {
    "ref",
    "avx2",
    "avx512",
};

}  // namespace mantissa::kernels
