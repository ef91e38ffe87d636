#include <mantissa/core/dtype.h>

#include <array>
#include <string>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

struct Row {
  DType dtype;
  int bits;
  std::string_view name;
  std::string_view safetensors;
};

constexpr std::array kRows = {
    Row{DType::UInt64, 64, "uint64", "U64"},
    Row{DType::Int64, 64, "int64", "I64"},
    Row{DType::Float64, 64, "float64", "F64"},
    Row{DType::Complex64, 64, "complex64", "C64"},
    Row{DType::Float32, 32, "float32", "F32"},
    Row{DType::UInt32, 32, "uint32", "U32"},
    Row{DType::Int32, 32, "int32", "I32"},
    Row{DType::BFloat16, 16, "bfloat16", "BF16"},
    Row{DType::Float16, 16, "float16", "F16"},
    Row{DType::UInt16, 16, "uint16", "U16"},
    Row{DType::Int16, 16, "int16", "I16"},
    Row{DType::Float8E5M2FNUZ, 8, "float8_e5m2fnuz", "F8_E5M2FNUZ"},
    Row{DType::Float8E4M3FNUZ, 8, "float8_e4m3fnuz", "F8_E4M3FNUZ"},
    Row{DType::Float8E8M0FNU, 8, "float8_e8m0fnu", "F8_E8M0"},
    Row{DType::Float8E4M3FN, 8, "float8_e4m3fn", "F8_E4M3"},
    Row{DType::Float8E5M2, 8, "float8_e5m2", "F8_E5M2"},
    Row{DType::Int8, 8, "int8", "I8"},
    Row{DType::UInt8, 8, "uint8", "U8"},
    Row{DType::Float6E3M2, 6, "float6_e3m2fn", "F6_E3M2"},
    Row{DType::Float6E2M3, 6, "float6_e2m3fn", "F6_E2M3"},
    Row{DType::Float4E2M1, 4, "float4_e2m1fn", "F4"},
    Row{DType::Bool, 8, "bool", "BOOL"},
    Row{DType::Int1, 1, "int1", ""},
    Row{DType::Int2, 2, "int2", ""},
    Row{DType::Int3, 3, "int3", ""},
    Row{DType::Int4, 4, "int4", ""},
    Row{DType::Int5, 5, "int5", ""},
    Row{DType::Int6, 6, "int6", ""},
    Row{DType::Int7, 7, "int7", ""},
    Row{DType::UInt1, 1, "uint1", ""},
    Row{DType::UInt2, 2, "uint2", ""},
    Row{DType::UInt3, 3, "uint3", ""},
    Row{DType::UInt4, 4, "uint4", ""},
    Row{DType::UInt5, 5, "uint5", ""},
    Row{DType::UInt6, 6, "uint6", ""},
    Row{DType::UInt7, 7, "uint7", ""},
};

const Row& row(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

bool is_signed_integer(DType dtype) {
  return dtype == DType::Int8 || dtype == DType::Int16 ||
         dtype == DType::Int32 ||
         (dtype >= DType::Int1 && dtype <= DType::Int7);
}

bool is_unsigned_integer(DType dtype) {
  return dtype == DType::UInt8 || dtype == DType::UInt16 ||
         dtype == DType::UInt32 ||
         (dtype >= DType::UInt1 && dtype <= DType::UInt7);
}

}  // namespace

int bit_width(DType dtype) { return row(dtype).bits; }

std::string_view name(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::string_view safetensors_name(DType dtype) {
  return row(dtype).safetensors;
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  for (const Row& row : kRows) {
    if (!row.safetensors.empty() && row.safetensors == name) return row.dtype;
  }
  return std::nullopt;
}

bool is_floating_point(DType dtype) {
  return is_high_precision(dtype) ||
         (dtype >= DType::Float8E5M2FNUZ && dtype <= DType::Float8E5M2) ||
         (dtype >= DType::Float6E3M2 && dtype <= DType::Float4E2M1);
}

bool is_high_precision(DType dtype) {
  return dtype == DType::Float64 || dtype == DType::Float32 ||
         dtype == DType::BFloat16 || dtype == DType::Float16;
}

IntegerRange integer_range(DType dtype) {
  const int bits = bit_width(dtype);
  if (is_signed_integer(dtype)) {
    const std::int64_t half = std::int64_t{1} << (bits - 1);
    return {-half, half - 1};
  }
  if (is_unsigned_integer(dtype)) {
    return {0, (std::int64_t{1} << bits) - 1};
  }
  throw Error(ErrorKind::Usage,
              "integer_range: expected an integer dtype of at most 32 bits, "
              "got " +
                  std::string(name(dtype)));
}

}  // namespace mantissa
