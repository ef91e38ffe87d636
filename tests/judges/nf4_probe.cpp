// nf4_probe CASES.json IN OUT: CASES is a list of {"key", "block_size",
// "scaler_block_size"}. Encodes tensor `key` of IN into key.FIELD of OUT, and
// decodes the fields key.FIELD of IN, which torchao made, into key.decoded.
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <mantissa/formats/nf4_tensor.h>
#include <mantissa/formats/registry.h>

#include "support/exchange.h"

using namespace mantissa;
using Json = nlohmann::ordered_json;

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::ifstream file(argv[1]);
  const Json cases = Json::parse(file);
  const auto in = support::load_tensors(argv[2]);
  std::map<std::string, HostTensor> out;
  for (const Json& item : cases) {
    const auto key = item["key"].get<std::string>();
    const HostTensor& w = in.at(key);
    const EncodedTensor encoded = encode(
        make_nf4_encoding(w.shape(),
                          w.dtype(),
                          {item["block_size"].get<std::int64_t>(),
                           item["scaler_block_size"].get<std::int64_t>()}),
        w.view());
    EncodedTensor theirs;
    std::vector<FieldLayout> layouts;
    for (std::size_t i = 0; i < encoded.fields.size(); ++i) {
      const std::string name = key + "." + encoded.encoding->fields()[i].name;
      out.emplace(name, encoded.fields[i]);
      const HostTensor& field = in.at(name);
      theirs.fields.push_back(field);
      layouts.push_back(
          {encoded.encoding->fields()[i].name, field.dtype(), field.shape()});
    }
    theirs.encoding = find_format("NF4Tensor")
                          ->parse(encoded.encoding->attributes_json(), layouts);
    out.emplace(key + ".decoded", theirs.decode());
  }
  support::save_tensors(argv[3], out);
  return 0;
}
