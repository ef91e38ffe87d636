#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace mantissa {

/// torchao's enumerations. Each has two spellings in files: the member name
/// ("SYMMETRIC") and, for str-enums, the value ("plain"). Enumerators are
/// CamelCase here; both file spellings come from one table
/// (src/core/enums.cpp).
enum class MappingType { Symmetric, SymmetricNoClippingErr, Asymmetric };
enum class KernelPreference { Auto, Torch, Mslk, Emulated, Triton };
enum class Int4PackingFormat { Plain, Preshuffled, PlainInt32, TilePackedTo4d };
enum class Int4ChooseQParamsAlgorithm { Tinygemm, Hqq };
enum class IntxPackingFormat {
  UnpackedToInt8,
  OpaqueAtenKleidiai,
  OpaqueTorchaoAuto,
  OpaqueTorchaoKleidiai,
  OpaqueTorchaoLowbit,
};
enum class IntxChooseQParamsAlgorithm { Affine, HqqScaleOnly };
enum class Float8PackingFormat {
  Plain,
  Sparse2dData2dMetadata,
  Sparse1dData1dMetadata,
};
enum class ScaleCalculationMode { Floor, Rceil, Ceil, Even };
enum class QuantizationStep {
  Prepare,
  Convert,
  PrepareForLoading,
  PrepareForSmoothquantSmoothingFactor,
  PrepareForSmoothquantActivationScales,
};

/// What a file calls an enumerator: the enum class, the member, the value.
struct EnumSpelling {
  std::string_view type;    ///< "Int4PackingFormat"
  std::string_view member;  ///< "TILE_PACKED_TO_4D"
  std::string_view value;   ///< "tile_packed_to_4d"
};

/// Spelling of an enumerator; declared for the enumerations above.
template <class Enum>
EnumSpelling spelling(Enum value);

/// The enumerator of a member name, an alias of it (SPARSE_CUTLASS) or a value;
/// empty if unknown. Declared for the enumerations above.
template <class Enum>
std::optional<Enum> enum_from_spelling(std::string_view text);

/// Every spelling of an enumeration, in the order of its enumerators, for
/// messages. Declared for the enumerations above.
template <class Enum>
std::vector<EnumSpelling> spellings();

}  // namespace mantissa
