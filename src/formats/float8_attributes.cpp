#include "formats/attributes.h"
#include "formats/float8_tensor.h"

namespace mantissa {
namespace {

using attributes::Json;
using attributes::Reader;

constexpr std::string_view kMmConfig = "Float8MMConfig";
constexpr std::string_view kKwargs = "QuantizeTensorToFloat8Kwargs";

Json write(const std::optional<Float8MMConfig>& config) {
  if (!config) return nullptr;
  Json data = Json::object();
  data["emulate"] = config->emulate;
  data["use_fast_accum"] = config->use_fast_accum;
  data["pad_inner_dim"] = config->pad_inner_dim;
  return attributes::object(kMmConfig, std::move(data));
}

Json write(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json write(const std::optional<QuantizeTensorToFloat8Kwargs>& kwargs) {
  if (!kwargs) return nullptr;
  Json data = Json::object();
  data["float8_dtype"] = attributes::dtype(kwargs->float8_dtype);
  data["granularity"] = attributes::granularity(kwargs->granularity);
  data["mm_config"] = write(kwargs->mm_config);
  data["hp_value_lb"] = write(kwargs->hp_value_lb);
  data["hp_value_ub"] = write(kwargs->hp_value_ub);
  data["kernel_preference"] = attributes::enumerator(kwargs->kernel_preference);
  return attributes::object(kKwargs, std::move(data));
}

// False for an absent member and for null, which is then known.
bool given(Reader& reader, std::string_view key) {
  if (reader.has(key)) return true;
  reader.ignore(key);
  return false;
}

std::optional<Float8MMConfig> read_mm_config(Reader& reader) {
  if (!given(reader, "mm_config")) return std::nullopt;
  Reader object = reader.object("mm_config", kMmConfig);
  Float8MMConfig config;
  if (object.present("emulate")) config.emulate = object.boolean("emulate");
  if (object.present("use_fast_accum")) {
    config.use_fast_accum = object.boolean("use_fast_accum");
  }
  if (object.present("pad_inner_dim")) {
    config.pad_inner_dim = object.boolean("pad_inner_dim");
  }
  object.finish();
  return config;
}

std::optional<double> read_bound(Reader& reader, std::string_view key) {
  if (!given(reader, key)) return std::nullopt;
  return reader.number(key);
}

KernelPreference read_preference(Reader& reader) {
  if (!given(reader, "kernel_preference")) return KernelPreference::Auto;
  return reader.enumerator<KernelPreference>("kernel_preference");
}

std::optional<QuantizeTensorToFloat8Kwargs> read_kwargs(Reader& reader) {
  if (!given(reader, "act_quant_kwargs")) return std::nullopt;
  Reader object = reader.object("act_quant_kwargs", kKwargs);
  QuantizeTensorToFloat8Kwargs kwargs;
  if (object.present("float8_dtype")) {
    kwargs.float8_dtype = object.dtype("float8_dtype");
  }
  if (object.present("granularity")) {
    kwargs.granularity = object.granularity("granularity");
  }
  kwargs.mm_config = read_mm_config(object);
  kwargs.hp_value_lb = read_bound(object, "hp_value_lb");
  kwargs.hp_value_ub = read_bound(object, "hp_value_ub");
  kwargs.kernel_preference = read_preference(object);
  object.finish();
  return kwargs;
}

}  // namespace

std::string float8_attributes(const Float8Parameters& parameters, DType dtype) {
  const Float8Spec& spec = parameters.spec;
  Json data = Json::object();
  data["block_size"] = parameters.grid.block;
  data["mm_config"] = write(spec.mm_config);
  data["act_quant_kwargs"] = write(spec.act_quant_kwargs);
  data["kernel_preference"] = attributes::enumerator(spec.kernel_preference);
  data["dtype"] = attributes::dtype(dtype);
  return attributes::dump(data);
}

Float8Attributes parse_float8_attributes(std::string_view text) {
  Reader reader("Float8Tensor", text);
  Float8Attributes out;
  if (given(reader, "block_size")) {
    out.block_size = reader.integers("block_size");
    if (out.block_size->empty()) out.block_size = std::nullopt;
  }
  out.spec.mm_config = read_mm_config(reader);
  out.spec.act_quant_kwargs = read_kwargs(reader);
  out.spec.kernel_preference = read_preference(reader);
  if (given(reader, "dtype")) out.dtype = reader.dtype("dtype");
  reader.finish();
  return out;
}

}  // namespace mantissa
