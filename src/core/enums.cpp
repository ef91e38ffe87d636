#include <mantissa/core/enums.h>

#include <span>

namespace mantissa {
namespace {

// `value` is empty where torchao's enum is no str-enum.
template <class Enum>
struct Row {
  Enum value;
  EnumSpelling spelling;
  std::string_view alias;
};

template <class Enum>
std::span<const Row<Enum>> rows();

#define MANTISSA_ENUM_ROWS(Enum, ...)                                   \
  template <>                                                           \
  std::span<const Row<Enum>> rows<Enum>() {                             \
    using E = Enum;                                                     \
    static constexpr std::string_view kType = #Enum;                    \
    static constexpr Row<Enum> kTable[] = {__VA_ARGS__};                \
    return kTable;                                                      \
  }                                                                     \
  }                                                                     \
  template <>                                                           \
  EnumSpelling spelling<Enum>(Enum value) {                             \
    for (const auto& row : rows<Enum>()) {                              \
      if (row.value == value) return row.spelling;                      \
    }                                                                   \
    return {};                                                          \
  }                                                                     \
  template <>                                                           \
  std::optional<Enum> enum_from_spelling<Enum>(std::string_view text) { \
    for (const auto& row : rows<Enum>()) {                              \
      const EnumSpelling& s = row.spelling;                             \
      if (text == s.member || (!s.value.empty() && text == s.value) ||  \
          (!row.alias.empty() && text == row.alias)) {                  \
        return row.value;                                               \
      }                                                                 \
    }                                                                   \
    return std::nullopt;                                                \
  }                                                                     \
  template <>                                                           \
  std::vector<EnumSpelling> spellings<Enum>() {                         \
    std::vector<EnumSpelling> out;                                      \
    for (const auto& row : rows<Enum>()) out.push_back(row.spelling);   \
    return out;                                                         \
  }                                                                     \
  namespace {

MANTISSA_ENUM_ROWS(MappingType,
                   {E::Symmetric, {kType, "SYMMETRIC", ""}, ""},
                   {E::SymmetricNoClippingErr,
                    {kType, "SYMMETRIC_NO_CLIPPING_ERR", ""},
                    ""},
                   {E::Asymmetric, {kType, "ASYMMETRIC", ""}, ""})

MANTISSA_ENUM_ROWS(KernelPreference,
                   {E::Auto, {kType, "AUTO", "auto"}, ""},
                   {E::Torch, {kType, "TORCH", "torch"}, ""},
                   {E::Mslk, {kType, "MSLK", "mslk"}, ""},
                   {E::Emulated, {kType, "EMULATED", "emulated"}, ""},
                   {E::Triton, {kType, "TRITON", "triton"}, ""})

MANTISSA_ENUM_ROWS(Int4PackingFormat,
                   {E::Plain, {kType, "PLAIN", "plain"}, ""},
                   {E::Preshuffled, {kType, "PRESHUFFLED", "preshuffled"}, ""},
                   {E::PlainInt32, {kType, "PLAIN_INT32", "plain_int32"}, ""},
                   {E::TilePackedTo4d,
                    {kType, "TILE_PACKED_TO_4D", "tile_packed_to_4d"},
                    ""})

MANTISSA_ENUM_ROWS(Int4ChooseQParamsAlgorithm,
                   {E::Tinygemm, {kType, "TINYGEMM", "tinygemm"}, ""},
                   {E::Hqq, {kType, "HQQ", "hqq"}, ""})

MANTISSA_ENUM_ROWS(
    IntxPackingFormat,
    {E::UnpackedToInt8, {kType, "UNPACKED_TO_INT8", "unpacked_to_int8"}, ""},
    {E::OpaqueAtenKleidiai,
     {kType, "OPAQUE_ATEN_KLEIDIAI", "opaque_aten_kleidiai"},
     ""},
    {E::OpaqueTorchaoAuto,
     {kType, "OPAQUE_TORCHAO_AUTO", "opaque_torchao_auto"},
     ""},
    {E::OpaqueTorchaoKleidiai,
     {kType, "OPAQUE_TORCHAO_KLEIDIAI", "opaque_torchao_kleidiai"},
     ""},
    {E::OpaqueTorchaoLowbit,
     {kType, "OPAQUE_TORCHAO_LOWBIT", "opaque_torchao_lowbit"},
     ""})

MANTISSA_ENUM_ROWS(IntxChooseQParamsAlgorithm,
                   {E::Affine, {kType, "AFFINE", "affine"}, ""},
                   {E::HqqScaleOnly,
                    {kType, "HQQ_SCALE_ONLY", "hqq_scale_only"},
                    ""})

MANTISSA_ENUM_ROWS(
    Float8PackingFormat,
    {E::Plain, {kType, "PLAIN", "plain"}, ""},
    {E::Sparse2dData2dMetadata,
     {kType, "SPARSE_2D_DATA_2D_METADATA", "sparse_2d_data_2d_metadata"},
     "SPARSE_CUTLASS"},
    {E::Sparse1dData1dMetadata,
     {kType, "SPARSE_1D_DATA_1D_METADATA", "sparse_1d_data_1d_metadata"},
     ""})

MANTISSA_ENUM_ROWS(ScaleCalculationMode,
                   {E::Floor, {kType, "FLOOR", "floor"}, ""},
                   {E::Rceil, {kType, "RCEIL", "rceil"}, ""},
                   {E::Ceil, {kType, "CEIL", "ceil"}, ""},
                   {E::Even, {kType, "EVEN", "even"}, ""})

MANTISSA_ENUM_ROWS(QuantizationStep,
                   {E::Prepare, {kType, "PREPARE", "prepare"}, ""},
                   {E::Convert, {kType, "CONVERT", "convert"}, ""},
                   {E::PrepareForLoading,
                    {kType, "PREPARE_FOR_LOADING", "prepare_for_loading"},
                    ""},
                   {E::PrepareForSmoothquantSmoothingFactor,
                    {kType,
                     "PREPARE_FOR_SMOOTHQUANT_SMOOTHING_FACTOR",
                     "prepare_for_smoothquant_smoothing_factor"},
                    ""},
                   {E::PrepareForSmoothquantActivationScales,
                    {kType,
                     "PREPARE_FOR_SMOOTHQUANT_ACTIVATION_SCALES",
                     "prepare_for_smoothquant_activation_scales"},
                    ""})

#undef MANTISSA_ENUM_ROWS

}  // namespace
}  // namespace mantissa
