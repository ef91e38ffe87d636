#include "checkpoint/carry_over.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/primitives/float_casts.h>

#include "checkpoint/ggml_decode.h"
#include "checkpoint/gguf_tensor_encoder.h"
#include "core/quoted.h"
#include "formats/gguf_tensor.h"

namespace mantissa {
namespace {

constexpr std::int64_t kGroup = 32;
constexpr int kMiddle = 8;  // the code of a 4-bit block that becomes 0
constexpr int kMiddleOfFive = 16;

// A ggml block of 32: its first bytes are the half float d, value = d * code,
// or d * (code + 8) + m for Q4_1.
struct StoredType {
  std::string_view name;
  std::string_view width;  ///< of a signed integer that holds the codes
  std::int64_t bytes;
  void (*codes)(const std::byte* in, std::int8_t* out);  ///< [kGroup]
};

// 16 bytes to 32 codes from -8 on, in a loop that compilers vectorize.
void nibble_codes(const std::byte* in, std::int8_t* out) {
  for (int i = 0; i < kGroup / 2; ++i) {
    const auto byte = static_cast<std::uint8_t>(in[i]);
    out[i] = static_cast<std::int8_t>((byte & 15) - kMiddle);
    out[i + kGroup / 2] = static_cast<std::int8_t>((byte >> 4) - kMiddle);
  }
}

void q4_0_codes(const std::byte* in, std::int8_t* out) {
  nibble_codes(in + 2, out);
}

void q4_1_codes(const std::byte* in, std::int8_t* out) {
  nibble_codes(in + 4, out);
}

// The bits of a byte as the fifth bits of eight codes.
std::uint64_t fifth_bits(std::byte byte) {
  const std::uint64_t all =
      std::to_integer<std::uint64_t>(byte) * 0x0101010101010101;
  const std::uint64_t own = all & 0x8040201008040201;  // bit i of byte i
  // 0x80 where a byte is not 0: none carries into the next.
  return ((own + 0x7f7f7f7f7f7f7f7f) & 0x8080808080808080) >> 3;
}

void q5_0_codes(const std::byte* in, std::int8_t* out) {
  std::uint8_t codes[kGroup];
  for (int i = 0; i < kGroup / 8; ++i) {
    const std::uint64_t bits = fifth_bits(in[2 + i]);
    std::memcpy(codes + 8 * i, &bits, sizeof(bits));
  }
  for (int i = 0; i < kGroup / 2; ++i) {
    const auto byte = static_cast<std::uint8_t>(in[6 + i]);
    const int low = codes[i] + (byte & 15) - kMiddleOfFive;
    const int high = codes[i + kGroup / 2] + (byte >> 4) - kMiddleOfFive;
    out[i] = static_cast<std::int8_t>(low);
    out[i + kGroup / 2] = static_cast<std::int8_t>(high);
  }
}

void q8_0_codes(const std::byte* in, std::int8_t* out) {
  std::memcpy(out, in + 2, kGroup);
}

constexpr StoredType kQ4_0 = {"Q4_0", "int4", 18, q4_0_codes};
constexpr StoredType kQ4_1 = {"Q4_1", "", 20, q4_1_codes};
constexpr StoredType kQ5_0 = {"Q5_0", "int5", 22, q5_0_codes};
constexpr StoredType kQ8_0 = {"Q8_0", "int8", 34, q8_0_codes};

// A block of Q4_1.
struct Block {
  float d = 0;
  float m = 0;
  std::int8_t codes[kGroup] = {};
};

Block read_q4_1(const std::byte* in) {
  Block out{ggml::half_at(in), ggml::half_at(in + 2)};
  q4_1_codes(in, out.codes);
  return out;
}

// A half float at any address, as bits.
std::uint16_t half_bits(const std::byte* in) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, in, sizeof(bits));
  return bits;
}

bool is_finite_half(std::uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

// Where the fields of a target stand; missing ones are not written.
struct Fields {
  std::size_t qdata = 0;
  std::size_t scale = 0;
  DType scale_dtype = DType::Float32;
  std::optional<std::size_t> zero_point;
};

// The fields, if they are qdata, zero_point and a scale that holds every half
// float, and nothing else.
std::optional<Fields> find_fields(const Encoding& encoding, DType zero_point) {
  Fields found;
  int required = 0;
  const std::vector<FieldLayout> fields = encoding.fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const FieldLayout& field = fields[i];
    if (field.name == "qdata" && field.dtype == DType::Int8) {
      found.qdata = i;
      ++required;
    } else if (field.name == "scale" && (field.dtype == DType::Float32 ||
                                         field.dtype == DType::Float16)) {
      found.scale = i;
      found.scale_dtype = field.dtype;
      ++required;
    } else if (field.name == "zero_point" && field.dtype == zero_point) {
      found.zero_point = i;
    } else {
      return std::nullopt;
    }
  }
  if (required != 2) return std::nullopt;
  return found;
}

bool has_groups_of_32(const Encoding& encoding, const nlohmann::json& data) {
  Shape block(encoding.shape().size(), 1);
  if (block.empty()) return false;
  block.back() = kGroup;
  // Int4Tensor writes the last two dimensions only.
  const Shape found = data.value("block_size", Shape());
  return found == block || found == Shape{1, kGroup};
}

std::string dtype_attribute(const nlohmann::json& data, const char* key) {
  const auto found = data.find(key);
  return found == data.end() || !found->is_object()
             ? ""
             : found->value("_data", std::string());
}

struct Route {
  const StoredType* type;
  Fields fields;
  bool packed;  ///< Int4Tensor: two codes in a byte, scales transposed
};

// Codes stay bytes; the zero point is 0.
std::optional<Route> byte_route(const StoredType& type,
                                const Encoding& encoding) {
  const auto fields = find_fields(encoding, DType::Int8);
  if (!fields) return std::nullopt;
  return Route{&type, *fields, false};
}

std::optional<Route> packed_route(const StoredType& type,
                                  const Encoding& encoding) {
  const auto fields = find_fields(encoding, DType::Float32);
  if (!fields || !fields->zero_point || fields->scale_dtype != DType::Float32) {
    return std::nullopt;
  }
  return Route{&type, *fields, true};
}

std::optional<Route> find_route(const SourceTensor& tensor,
                                const Encoding& encoding) {
  const auto data = nlohmann::json::parse(encoding.attributes_json());
  if (tensor.shape != encoding.shape() || !has_groups_of_32(encoding, data)) {
    return std::nullopt;
  }
  const std::string_view target = encoding.format_name();
  const std::string_view stored = tensor.stored_type;
  if (target == "Int8Tensor" && stored == "Q8_0" &&
      !data.value("reduce_range", false)) {
    return byte_route(kQ8_0, encoding);
  }
  if (target == "Int8Tensor" && stored == "Q4_0") {
    return byte_route(kQ4_0, encoding);
  }
  if (target == "IntxUnpackedToInt8Tensor") {
    const std::string width = dtype_attribute(data, "target_dtype");
    for (const StoredType* type : {&kQ4_0, &kQ5_0, &kQ8_0}) {
      if (stored == type->name && width == type->width) {
        return byte_route(*type, encoding);
      }
    }
    return std::nullopt;
  }
  // A missing attribute has bfloat16's meaning: asymmetric codes.
  const std::string activation = dtype_attribute(data, "activation_dtype");
  if (target == "Int4Tensor" && stored == "Q4_1" &&
      encoding.dtype() == DType::Float32 &&
      (activation == "bfloat16" || activation.empty())) {
    return packed_route(kQ4_1, encoding);
  }
  return std::nullopt;
}

// m + 8 d: exact in double (both are half floats), so that code * d + zero
// rounds as d * (code + 8) + m does whenever float32 holds it too. Where it
// does not, the codes of the block decide; false when one would differ.
bool find_zero_point(const Block& block, float& zero) {
  const double exact =
      static_cast<double>(block.m) + static_cast<double>(kMiddle) * block.d;
  zero = static_cast<float>(exact);
  if (static_cast<double>(zero) == exact) return true;
  return std::all_of(
      std::begin(block.codes), std::end(block.codes), [&](int code) {
        const float ggml =
            block.d * static_cast<float>(code + kMiddle) + block.m;
        return static_cast<float>(code) * block.d + zero == ggml;
      });
}

class CarryEncoder final : public Encoder {
 public:
  CarryEncoder(std::string name,
               std::shared_ptr<const Encoding> encoding,
               const Route& route)
      : name_(std::move(name)),
        encoding_(std::move(encoding)),
        route_(route),
        shape_(matrix_shape(encoding_->shape())) {}

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    if (rows.dtype != DType::UInt8 ||
        rows.shape != Shape{block.rows, groups() * route_.type->bytes}) {
      throw Error(ErrorKind::Usage,
                  fmt::format("carry over {}: rows: expected stored blocks "
                              "uint8 [{}, {}], found {} {}",
                              quoted_name(name_),
                              block.rows,
                              groups() * route_.type->bytes,
                              name(rows.dtype),
                              to_string(rows.shape)));
    }
    if (route_.packed) {
      encode_packed(block, rows.data, sink);
    } else {
      encode_bytes(block, rows.data, sink);
    }
  }

 private:
  std::int64_t groups() const { return shape_.columns / kGroup; }

  // Calls visit(row of the block, group, bytes of the ggml block).
  template <class Visit>
  void for_each_group(const RowBlock& block,
                      const std::byte* in,
                      const Visit& visit) const {
    for (std::int64_t row = 0; row < block.rows; ++row) {
      for (std::int64_t g = 0; g < groups(); ++g) {
        visit(row, g, in);
        in += route_.type->bytes;
      }
    }
  }

  void require_finite(const RowBlock& block,
                      std::int64_t row,
                      std::int64_t group,
                      std::uint16_t half) const {
    if (!is_finite_half(half)) {
      fail(block, row, group, "the scale is not finite");
    }
  }

  // qdata [rows, K], scale and zero_point [rows, K / 32].
  void encode_bytes(const RowBlock& block,
                    const std::byte* in,
                    FieldSink& sink) const {
    std::vector<std::int8_t> codes(size(block.rows * shape_.columns));
    std::vector<std::uint16_t> scales(size(block.rows * groups()));
    std::int8_t* code = codes.data();
    std::uint16_t* scale = scales.data();
    for_each_group(block, in, [&](auto row, auto g, const std::byte* from) {
      *scale = half_bits(from);
      require_finite(block, row, g, *scale++);
      route_.type->codes(from, code);
      code += kGroup;
    });
    const std::int64_t first = block.matrix * shape_.rows + block.row;
    write(sink, route_.fields.qdata, first * shape_.columns, codes);
    write_scales(sink, first * groups(), scales);
    if (route_.fields.zero_point) {
      const std::vector<std::int8_t> zeros(scales.size());
      write(sink, *route_.fields.zero_point, first * groups(), zeros);
    }
  }

  // qdata [rows, K / 2], even column low; scale and zero_point [K / 32, N].
  void encode_packed(const RowBlock& block,
                     const std::byte* in,
                     FieldSink& sink) const {
    const std::int64_t bytes = shape_.columns / 2;
    std::vector<std::uint8_t> codes(size(block.rows * bytes));
    std::vector<float> scales(size(groups() * block.rows));
    std::vector<float> zeros(scales.size());
    for_each_group(block, in, [&](auto row, auto g, const std::byte* from) {
      require_finite(block, row, g, half_bits(from));
      require_finite(block, row, g, half_bits(from + 2));
      const Block group = read_q4_1(from);
      const std::size_t to = size(row * bytes + g * kGroup / 2);
      for (std::size_t i = 0; i < kGroup / 2; ++i) {
        codes[to + i] = static_cast<std::uint8_t>(
            (group.codes[2 * i] & 15) | (group.codes[2 * i + 1] & 15) << 4);
      }
      const std::size_t at = size(g * block.rows + row);
      scales[at] = group.d;
      if (!find_zero_point(group, zeros[at])) {
        fail(block,
             row,
             g,
             fmt::format("d = {} and m = {} have no float32 zero point that "
                         "keeps the values; convert the model first, then "
                         "quantize what was converted",
                         group.d,
                         group.m));
      }
    });
    const std::int64_t first = block.matrix * shape_.rows + block.row;
    write(sink, route_.fields.qdata, first * bytes, codes);
    // Column block.row of the matrix's [K / 32, N].
    const std::int64_t column =
        (block.matrix * groups() * shape_.rows + block.row) * 4;
    // The route to Int4Tensor exists only with a zero point.
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access)
    const std::size_t zero_point = *route_.fields.zero_point;
    for (const auto& [field, values] : {std::pair(route_.fields.scale, &scales),
                                        std::pair(zero_point, &zeros)}) {
      sink.write_runs(field,
                      column,
                      block.rows * 4,
                      shape_.rows * 4,
                      std::as_bytes(std::span(*values)));
    }
  }

  // Scales from index `first` on, in the dtype of the field: they are halves.
  void write_scales(FieldSink& sink,
                    std::int64_t first,
                    const std::vector<std::uint16_t>& scales) const {
    if (route_.fields.scale_dtype == DType::Float16) {
      write(sink, route_.fields.scale, first * 2, scales);
      return;
    }
    std::vector<float> wide(scales.size());
    std::ranges::transform(scales, wide.begin(), float16_to_float);
    write(sink, route_.fields.scale, first * 4, wide);
  }

  [[noreturn]] void fail(const RowBlock& block,
                         std::int64_t row,
                         std::int64_t group,
                         const std::string& what) const {
    throw Error(ErrorKind::Input,
                fmt::format("{}: row {}, group {}: {}",
                            quoted_name(name_),
                            block.matrix * shape_.rows + block.row + row,
                            group,
                            what));
  }

  template <class T>
  static void write(FieldSink& sink,
                    std::size_t field,
                    std::int64_t offset,
                    const std::vector<T>& values) {
    sink.write(field, offset, std::as_bytes(std::span(values)));
  }

  static std::size_t size(std::int64_t count) {
    return static_cast<std::size_t>(count);
  }

  std::string name_;
  std::shared_ptr<const Encoding> encoding_;
  Route route_;
  MatrixShape shape_;
};

// Blocks whose parts the encoding holds as they are.
bool holds_blocks(const SourceTensor& tensor, const Encoding& encoding) {
  const GgufGrid* grid = gguf_grid(encoding);
  return grid != nullptr && grid->type == tensor.stored_type &&
         tensor.shape == encoding.shape();
}

}  // namespace

bool carries_exactly(const SourceTensor& tensor, const Encoding& encoding) {
  // Every stored type with a route is a block type, "Q8_0"; a plan asks this of
  // every tensor, so the rest gets the cheap answer.
  if (!tensor.stored_type.starts_with('Q')) return false;
  return holds_blocks(tensor, encoding) ||
         find_route(tensor, encoding).has_value();
}

std::unique_ptr<Encoder> make_carry_encoder(
    const SourceTensor& tensor, std::shared_ptr<const Encoding> encoding) {
  if (holds_blocks(tensor, *encoding)) {
    return make_gguf_tensor_encoder(tensor.name, std::move(encoding));
  }
  const std::optional<Route> route = find_route(tensor, *encoding);
  if (!route) return nullptr;
  return std::make_unique<CarryEncoder>(
      tensor.name, std::move(encoding), *route);
}

}  // namespace mantissa
