#pragma once

#include <array>
#include <string_view>

namespace mantissa::kernels {

// Words of kernel names, which a test compares with the tables. An encoder
// serves every input dtype and has no weight word: `<op>_<target>`; a product
// is `linear_<activation>_<weight>_<target>`.

/// Operators on weights in memory: encoders, decoders, conversions; and on
/// activations of products.
inline constexpr std::array<std::string_view, 22> kEncoderOps = {
    "absmax_runs",        // largest magnitude of each run of elements
    "attention_bf16",     // attention over keys and values of bfloat16
    "attention_int8",     // attention of uint8 codes
    "convert",            // one floating dtype to another
    "decode_ops",         // what stands around the products of a token
    "dequantize_affine",  // values of integer codes
    "embedding_lowbit",   // rows of 1 to 8 bit weights
    "error_sums",         // signal, noise and extremes of each row
    "find_nonfinite",     // first NaN or infinity
    "group_minmax",       // minimum and maximum of each group of columns
    "hqq_scale",          // scales of least squares for their own codes
    "pack_bits",          // codes of 1 to 8 bits to bytes
    "pack_lowbit",        // codes of 1 to 8 bits as products on x86 read them
    "pack_universal",     // a weight as torchao's linear kernels read it
    "quantize_affine",    // integer codes of each group of columns
    "quantize_float8",    // float8 codes of runs that have one scale each
    "quantize_int4",      // 4-bit codes with their parameters
    "quantize_panels",    // activations to int8 with a scale each group
    "search_affine",      // scale and zero point of least squared error
    "unpack_bits",        // the inverse of pack_bits
    "unpack_lowbit",      // the inverse of pack_lowbit
    "unpack_universal",   // the inverse of pack_universal
};

/// Products with a weight.
inline constexpr std::array<std::string_view, 4> kLinearOps = {
    "linear_int8",          // int8 activations with int8 weights
    "linear_lowbit",        // int8 activations with 1 to 8 bit weights
    "linear_lowbit_bf16",   // bfloat16 activations with 1 to 8 bit weights
    "linear_lowbit_float",  // float activations with 1 to 8 bit weights
};

/// Activation words of a product: what x is when the sums are made.
inline constexpr std::array<std::string_view, 3> kActivations = {
    "bf16",   // bfloat16
    "f32",    // float32
    "i8dyn",  // int8 codes and scales found in the call
};

/// Weight words of a product.
inline constexpr std::array<std::string_view, 2> kWeights = {
    "i8c",  // int8, a scale for each row (output channel) or one for all
    "ixg",  // 1 to 8 bits, a scale for each group of columns or each row
};

/// Instruction sets and reference forms.
inline constexpr std::array<std::string_view, 6> kTargets = {
    "ref",
    "avx2",
    "avx512",
    "avx512bf16",
    "avx512vnni",
    "amx",
};

}  // namespace mantissa::kernels
