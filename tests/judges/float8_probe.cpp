// float8_probe CASES.json IN OUT: CASES is a list of
//   {"kind": "encode", "key", "data": `_data` of a torchao entry,
//    "float8_dtype", "granularity", "lb", "ub"}: encodes tensor `key` of IN,
//     writes key.qdata, key.scale, and the `_data` written here to OUT.json;
//   {"kind": "decode", "key", "data"}: decodes key.qdata and key.scale of IN;
//   {"kind": "scale", "key", "block", "float8_dtype", "scale_dtype", "lb",
//    "ub"}: choose_scale_float8;
//   {"kind": "quantize", "key", "float8_dtype"}: quantize_affine_float8 with
//     key.scale, then dequantize_affine_float8 to float32 as key.back.
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/registry.h>
#include <mantissa/primitives/float8.h>

#include "formats/attributes.h"
#include "formats/float8_tensor.h"
#include "support/exchange.h"

using namespace mantissa;
using Json = nlohmann::ordered_json;
using Tensors = std::map<std::string, HostTensor>;

namespace {

DType dtype_of(const Json& name) {
  return dtype_from_name(name.get<std::string>()).value();
}

std::optional<double> bound(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return value.get<double>();
}

std::string encode_case(const Json& item, const HostTensor& w, Tensors& out) {
  Float8Spec spec =
      parse_float8_attributes(item["data"].get<std::string>()).spec;
  spec.float8_dtype = dtype_of(item["float8_dtype"]);
  const Json granularity = {{"granularity", item["granularity"]}};
  spec.granularity =
      attributes::Reader("case", granularity.dump()).granularity("granularity");
  spec.hp_value_lb = bound(item["lb"]);
  spec.hp_value_ub = bound(item["ub"]);
  const auto key = item["key"].get<std::string>();
  const EncodedTensor encoded =
      encode(make_float8_encoding(w.shape(), w.dtype(), spec), w.view());
  out.emplace(key + ".qdata", encoded.fields[0]);
  out.emplace(key + ".scale", encoded.fields[1]);
  return encoded.encoding->attributes_json();
}

void decode_case(const Json& item, const Tensors& in, Tensors& out) {
  const auto key = item["key"].get<std::string>();
  const HostTensor& qdata = in.at(key + ".qdata");
  const HostTensor& scale = in.at(key + ".scale");
  const std::vector<FieldLayout> layouts = {
      {"scale", scale.dtype(), scale.shape()},
      {"qdata", qdata.dtype(), qdata.shape()}};
  const auto encoding = find_format("Float8Tensor")
                            ->parse(item["data"].get<std::string>(), layouts);
  out.emplace(key + ".decoded",
              EncodedTensor{encoding, {qdata, scale}}.decode());
}

void primitive_case(const Json& item, const Tensors& in, Tensors& out) {
  const auto key = item["key"].get<std::string>();
  const DType float8_dtype = dtype_of(item["float8_dtype"]);
  if (item["kind"] == "scale") {
    out.emplace(key + ".scale",
                choose_scale_float8(in.at(key).view(),
                                    item["block"].get<Shape>(),
                                    {float8_dtype,
                                     dtype_of(item["scale_dtype"]),
                                     bound(item["lb"]),
                                     bound(item["ub"])}));
    return;
  }
  const HostTensor& scale = in.at(key + ".scale");
  const HostTensor codes =
      quantize_affine_float8(in.at(key).view(), scale.view(), float8_dtype);
  out.emplace(key + ".qdata", codes);
  out.emplace(
      key + ".back",
      dequantize_affine_float8(codes.view(), scale.view(), DType::Float32));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::ifstream file(argv[1]);
  const Json cases = Json::parse(file);
  const Tensors in = support::load_tensors(argv[2]);
  Tensors out;
  Json written = Json::object();
  for (const Json& item : cases) {
    const auto key = item["key"].get<std::string>();
    if (item["kind"] == "encode") {
      written[key] = encode_case(item, in.at(key), out);
    } else if (item["kind"] == "decode") {
      decode_case(item, in, out);
    } else {
      primitive_case(item, in, out);
    }
  }
  support::save_tensors(argv[3], out);
  std::ofstream(std::string(argv[3]) + ".json") << written.dump();
  return 0;
}
