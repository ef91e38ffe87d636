#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// The storage formats of compressed-tensors.
enum class CompressedFormat {
  PackQuantized,   ///< integer codes of 1 to 8 bits, packed into int32 words
  IntQuantized,    ///< int8 codes one to a byte, activations quantized too
  FloatQuantized,  ///< float8 (e4m3) codes, activations quantized too
  NaiveQuantized,  ///< int8 or float8 codes one to a byte, weight only
};

/// "pack-quantized", "int-quantized", "float-quantized", "naive-quantized".
std::string_view name(CompressedFormat format);

/// What shares a scale.
enum class CompressedStrategy { Tensor, Channel, Group, Block };

/// "tensor", "channel", "group", "block".
std::string_view name(CompressedStrategy strategy);

/// How scales and zero points are found when a weight is encoded.
enum class CompressedObserver {
  MinMax,  ///< from the least and the largest value
  Mse,     ///< the least squared error that a search finds
};

/// "minmax", "mse".
std::string_view name(CompressedObserver observer);

/// How packed codes stand in 32-bit words.
enum class CodeLayout {
  Dense,   ///< codes cross words; since compressed-tensors 0.18
  Padded,  ///< floor(32 / bits) codes a word; read, not written
};

/// The weight arguments of compressed-tensors, and what a file holds of them.
struct CompressedSpec {
  CompressedFormat format = CompressedFormat::PackQuantized;
  int num_bits = 4;
  bool floating = false;  ///< float8 e4m3 codes of 8 bits, symmetric
  bool symmetric = true;
  CompressedStrategy strategy = CompressedStrategy::Group;
  std::int64_t group_size = 128;     ///< of Group
  std::int64_t block_rows = 128;     ///< of Block
  std::int64_t block_columns = 128;  ///< of Block
  /// Default: the weight's dtype, which is what the default load casts to.
  std::optional<DType> scale_dtype = {};
  /// `input_activations` of the scheme as JSON text; "" for none.
  std::string input_activations = {};
  /// The same of `output_activations`, which no product here runs.
  std::string output_activations = {};
  /// Static activations of a weight that runs: input_scale and, if there is
  /// one, input_zero_point, [1] each, as fields behind the weight's own.
  std::vector<FieldLayout> input_fields = {};
  CompressedObserver observer = CompressedObserver::MinMax;
  CodeLayout layout = CodeLayout::Dense;
  DType shape_dtype = DType::Int64;  ///< of weight_shape; int32 is read
};

/// The scheme as config.json holds it, without targets: {"weights": {...},
/// "input_activations": ..., "output_activations": ..., "format": ...}.
std::string compressed_scheme_json(const CompressedSpec& spec);

/// A weight [N, K] of float32, bfloat16 or float16 as compressed-tensors stores
/// it. Fields of pack-quantized: `weight_packed` int32 [N, ceil(K * bits /
/// 32)], `weight_scale`, asymmetric `weight_zero_point` int32 [ceil(N * bits /
/// 32), G], `weight_shape`; of the others `weight` int8 or float8 [N, K],
/// `weight_scale`, asymmetric `weight_zero_point` int8. Scales are found in the
/// weight's dtype as compressed-tensors finds them; with the observer Mse, for
/// integers in groups or rows, a search goes on from there (never to a larger
/// squared error). Codes come from a float32 division by the stored scale.
/// decode() gives (code - zero point) * scale. attributes_json() is
/// compressed_scheme_json(). Throws Error(Usage) when shape, dtype or spec is
/// not allowed; encoding throws Error(Input) for NaN and infinity.
std::shared_ptr<const Encoding> make_compressed_encoding(
    const Shape& shape, DType dtype, const CompressedSpec& spec);

}  // namespace mantissa
