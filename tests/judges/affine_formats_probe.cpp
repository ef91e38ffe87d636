// Encodes and decodes weights in the affine formats for a judge.
// affine_formats_probe CASES.json IN.safetensors OUT.safetensors META.json
#include <fstream>
#include <iostream>

#include <nlohmann/json.hpp>

#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/formats/registry.h>

#include "formats/attributes.h"
#include "support/exchange.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;
using Tensors = std::map<std::string, HostTensor>;

Int8Spec int8_spec(attributes::Reader& r, const Tensors& in) {
  Int8Spec spec;
  spec.granularity = r.granularity("granularity");
  spec.mapping_type = r.enumerator<MappingType>("mapping_type");
  spec.reduce_range = r.boolean("reduce_range");
  if (r.has("act_granularity")) {
    spec.act_quant_kwargs = {r.granularity("act_granularity"),
                             r.enumerator<MappingType>("act_mapping_type"),
                             spec.reduce_range};
  }
  if (r.has("act_quant_scale")) {
    spec.act_quant_scale = in.at(r.text("act_quant_scale"));
  }
  return spec;
}

IntxSpec intx_spec(attributes::Reader& r) {
  IntxSpec spec;
  spec.granularity = r.granularity("granularity");
  spec.mapping_type = r.enumerator<MappingType>("mapping_type");
  spec.target_dtype = r.dtype("target_dtype");
  spec.algorithm = r.enumerator<IntxChooseQParamsAlgorithm>("algorithm");
  if (r.has("scale_dtype")) spec.scale_dtype = r.dtype("scale_dtype");
  if (r.has("activation_quantization")) {
    spec.activation_quantization = r.text("activation_quantization");
  }
  return spec;
}

// What parse() makes of the encoding's own attributes and fields.
std::string reparsed(const Encoding& encoding) {
  std::vector<FieldLayout> fields = encoding.fields();
  std::reverse(fields.begin(), fields.end());
  const auto again = find_format(encoding.format_name())
                         ->parse(encoding.attributes_json(), fields);
  return again->attributes_json();
}

// The slice or the expert that a case asks for.
EncodedTensor cut(const Json& c, const EncodedTensor& whole) {
  if (c.contains("select")) {
    return whole.encoding->select(whole.views(), c["select"]);
  }
  if (!c.contains("slice")) return whole;
  const auto s = c["slice"].get<std::vector<std::int64_t>>();
  return whole.encoding->slice(whole.views(), s[0], s[1], s[2]);
}

void run_case(const Json& c, const Tensors& in, Tensors& out, Json& meta) {
  const std::string name = c["name"];
  const HostTensor& w = in.at(c["input"]);
  attributes::Reader r("case", c.dump());
  const auto encoding_of_weight =
      c["format"] == "int8"
          ? make_int8_encoding(w.shape(), w.dtype(), int8_spec(r, in))
          : make_intx_encoding(w.shape(), w.dtype(), intx_spec(r));
  const EncodedTensor whole = encode(encoding_of_weight, w.view());
  const EncodedTensor encoded = cut(c, whole);
  const auto& encoding = encoded.encoding;
  const auto fields = encoding->fields();
  Json& entry = meta[name];
  entry["type"] = encoding->format_name();
  entry["data"] = encoding->attributes_json();
  entry["reparsed"] = reparsed(*encoding);
  entry["check"] = encoding->check_values(encoded.views());
  entry["required"] = encoding->required_fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    entry["fields"].push_back(fields[i].name);
    out[name + "/" + fields[i].name] = encoded.fields[i];
  }
  out[name + "/decoded"] = encoded.decode();
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    std::ifstream file(argv[1]);
    const auto in = mantissa::support::load_tensors(argv[2]);
    mantissa::Tensors out;
    mantissa::Json meta = mantissa::Json::object();
    for (const auto& c : mantissa::Json::parse(file)) {
      mantissa::run_case(c, in, out, meta);
    }
    mantissa::support::save_tensors(argv[3], out);
    std::ofstream(argv[4]) << meta.dump();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
