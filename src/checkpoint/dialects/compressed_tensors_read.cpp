#include <optional>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/dialects/compressed_tensors.h"
#include "core/quoted.h"
#include "formats/code_packing.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kScale = ".weight_scale";
constexpr std::string_view kPacked = ".weight_packed";
constexpr std::string_view kWeight = ".weight";

// Everything that a scheme may put beside a module's weight.
constexpr std::string_view kFields[] = {"weight_packed",
                                        "weight",
                                        "weight_scale",
                                        "weight_zero_point",
                                        "weight_shape",
                                        "weight_g_idx",
                                        "weight_global_scale"};

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Input, what);
}

// Dense or padded, by the width of the rows; the version decides where both
// have the same.
CodeLayout layout_of(std::int64_t columns,
                     std::int64_t words,
                     int bits,
                     bool padded_version) {
  const bool padded = packed_words(columns, bits, CodeLayout::Padded) == words;
  const bool dense = packed_words(columns, bits, CodeLayout::Dense) == words;
  return padded && (!dense || padded_version) ? CodeLayout::Padded
                                              : CodeLayout::Dense;
}

// The module whose codes these are; nothing for what holds no codes.
std::optional<std::string> module_of_codes(const SourceTensor& tensor,
                                           const CompressedGroups& groups) {
  const std::string& name = tensor.name;
  if (name.ends_with(kPacked)) {
    return name.substr(0, name.size() - kPacked.size());
  }
  const bool codes =
      tensor.dtype == DType::Int8 || tensor.dtype == DType::Float8E4M3FN;
  if (!codes || !name.ends_with(kWeight)) return std::nullopt;
  std::string module = name.substr(0, name.size() - kWeight.size());
  if (groups.ignores(module) || groups.find(module) == nullptr) {
    return std::nullopt;
  }
  return module;
}

}  // namespace

CompressedCheckpoint::CompressedCheckpoint(const CheckpointSource& source)
    : DialectCheckpoint(source) {
  const CompressedGroups groups(compressed_quantization(source.config_json()));
  std::set<std::string> modules;
  for (const SourceTensor& tensor : source.tensors()) {
    if (!tensor.name.ends_with(kScale)) continue;
    const std::string module =
        tensor.name.substr(0, tensor.name.size() - kScale.size());
    if (modules.insert(module).second) read_module(module, groups);
  }
  for (const SourceTensor& tensor : source.tensors()) {  // the scale is lost
    const auto module = module_of_codes(tensor, groups);
    if (module && modules.insert(*module).second) read_module(*module, groups);
  }
  // What is left of a quantized module belongs to nothing; input scales, the
  // key-value cache's scales and kept weights are tensors of their own.
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const std::string& name = source.tensors()[i].name;
    const std::size_t dot = name.rfind('.');
    const bool of_weight = dot != name.npos &&
                           name.compare(dot + 1, 7, "weight_") == 0 &&
                           modules.contains(name.substr(0, dot));
    if (!claimed(i) && !of_weight) add_plain(i);
  }
  collect_leftovers();
}

void CompressedCheckpoint::read_module(const std::string& module,
                                       const CompressedGroups& groups) {
  const std::string name = module + ".weight";
  std::vector<FieldLayout> fields;
  DialectTensor tensor{.name = name, .type = "", .encoding = {}, .parts = {}};
  for (const std::string_view field : kFields) {
    const std::size_t* part = stored(fmt::format("{}.{}", module, field));
    if (part == nullptr) continue;
    const SourceTensor& found = source().tensors()[*part];
    fields.push_back({std::string(field), found.dtype, found.shape});
    tensor.parts.push_back(*part);
  }
  const CompressedGroup* group = groups.find(module);
  tensor.type = group == nullptr
                    ? "compressed-tensors"
                    : std::string(mantissa::name(group->spec.format));
  try {
    if (group == nullptr) {
      fail("no group of config.json targets it, but it has a scale");
    }
    if (!group->refusal.empty()) fail(group->refusal);
    tensor.encoding =
        encoding_of(fields, tensor.parts, *group, groups.padded_version());
    // A zero point that a symmetric scheme does not know is left over.
    std::vector<FieldLayout> own;
    std::vector<std::size_t> parts;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].name == "weight_zero_point" && group->spec.symmetric) {
        continue;
      }
      own.push_back(fields[i]);
      parts.push_back(tensor.parts[i]);
    }
    tensor.parts = bind_fields(*tensor.encoding, own, parts);
  } catch (const Error& error) {
    tensor.encoding = nullptr;
    add_problem(name, tensor.type, error.what());
  }
  for (const std::size_t part : tensor.parts) claim(part);
  add(std::move(tensor));
}

Shape CompressedCheckpoint::read_shape(std::size_t part) const {
  const SourceTensor& stored = source().tensors()[part];
  if (stored.shape != Shape{2} ||
      (stored.dtype != DType::Int64 && stored.dtype != DType::Int32)) {
    fail(fmt::format("field weight_shape: expected I64 or I32 [2], got {} {}",
                     safetensors_name(stored.dtype),
                     to_string(stored.shape)));
  }
  HostTensor values(stored.dtype, {2});
  source().read_rows(part, 0, 1, values.mutable_view().bytes());
  Shape shape;
  for (std::int64_t i = 0; i < 2; ++i) {
    shape.push_back(stored.dtype == DType::Int64
                        ? values.as<std::int64_t>()[i]
                        : values.as<std::int32_t>()[i]);
  }
  return shape;
}

std::shared_ptr<const Encoding> CompressedCheckpoint::encoding_of(
    const std::vector<FieldLayout>& fields,
    const std::vector<std::size_t>& parts,
    const CompressedGroup& group,
    bool padded_version) const {
  CompressedSpec spec = group.spec;
  const std::string_view owner = name(spec.format);
  const FieldLayout& scale = fields::require(owner, fields, "weight_scale");
  spec.scale_dtype = scale.dtype;
  if (fields::find(fields, "weight_g_idx") != nullptr) {
    fail(
        "weight_g_idx: columns ordered by activation are not read; "
        "compressed-tensors removed them");
  }
  Shape shape;
  if (spec.format == CompressedFormat::PackQuantized) {
    const FieldLayout& packed = fields::require(owner, fields, "weight_packed");
    const FieldLayout& at = fields::require(owner, fields, "weight_shape");
    shape = read_shape(parts[static_cast<std::size_t>(&at - fields.data())]);
    spec.shape_dtype = at.dtype;
    if (packed.shape.size() != 2 || shape[0] != packed.shape[0] ||
        shape[1] < 0 || spec.num_bits < 1 || spec.num_bits > 8 ||
        shape[1] > (packed.shape[1] + 1) * 32) {
      fail(
          fmt::format("field weight_packed: {} does not hold {} codes of {} "
                      "bits",
                      to_string(packed.shape),
                      to_string(shape),
                      spec.num_bits));
    }
    spec.layout =
        layout_of(shape[1], packed.shape[1], spec.num_bits, padded_version);
  } else {
    shape = fields::require(owner, fields, "weight").shape;
  }
  // Fewer rows than the block has: one block. Values are in the scale's dtype.
  try {
    return make_compressed_encoding(shape, scale.dtype, spec);
  } catch (const Error& error) {
    fail(error.what());
  }
}

}  // namespace mantissa
