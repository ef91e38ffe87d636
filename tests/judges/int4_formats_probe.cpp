// Encodes every tensor of a file as its name says, colon separated:
//   int4:GROUP:ACTIVATION_DTYPE:OP:LABEL
//   tile:GROUP:ALGORITHM:NTILE:OP:LABEL
// OP is "whole", "select-INDEX" or "slice-DIM-BEGIN-END". The result's fields,
// its metadata text ("attributes"), its values ("decoded") and the values after
// a round through the registry's parse ("parsed") carry the name as a prefix.

#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/registry.h>

#include "support/exchange.h"

namespace {

using mantissa::EncodedTensor;
using mantissa::HostTensor;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);) {
    words.push_back(word);
  }
  return words;
}

std::shared_ptr<const mantissa::Encoding> encoding_of(
    const std::vector<std::string>& words, const HostTensor& weight) {
  const std::int64_t group_size = std::stoll(words.at(1));
  if (words.at(0) == "int4") {
    return mantissa::make_int4_encoding(
        weight.shape(),
        weight.dtype(),
        {group_size, mantissa::dtype_from_name(words.at(2)).value()});
  }
  return mantissa::make_int4_tile_packed_encoding(
      weight.shape(),
      weight.dtype(),
      {group_size,
       mantissa::enum_from_spelling<mantissa::Int4ChooseQParamsAlgorithm>(
           words.at(2))
           .value(),
       std::stoll(words.at(3))});
}

EncodedTensor changed(const EncodedTensor& tensor, const std::string& op) {
  const std::vector<std::string> words = split(op, '-');
  if (words.at(0) == "whole") return tensor;
  if (words.at(0) == "select") {
    return tensor.encoding->select(tensor.views(), std::stoll(words.at(1)));
  }
  return tensor.encoding->slice(tensor.views(),
                                std::stoll(words.at(1)),
                                std::stoll(words.at(2)),
                                std::stoll(words.at(3)));
}

HostTensor text_tensor(const std::string& text) {
  HostTensor out(mantissa::DType::UInt8,
                 {static_cast<std::int64_t>(text.size())});
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

void run(const std::string& name,
         const HostTensor& weight,
         std::map<std::string, HostTensor>& out) {
  const std::vector<std::string> words = split(name, ':');
  const std::string op = words.at(words.size() - 2);
  const EncodedTensor tensor =
      changed(encode(encoding_of(words, weight), weight.view()), op);
  const auto layouts = tensor.encoding->fields();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    out[name + "/" + layouts[i].name] = tensor.fields[i];
  }
  const std::string attributes = tensor.encoding->attributes_json();
  out[name + "/attributes"] = text_tensor(attributes);
  out[name + "/decoded"] = tensor.decode();
  const auto* format = mantissa::find_format(tensor.encoding->format_name());
  const EncodedTensor again{format->parse(attributes, layouts), tensor.fields};
  out[name + "/parsed"] = again.decode();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw std::runtime_error("usage: probe IN OUT");
    std::map<std::string, HostTensor> out;
    for (const auto& [name, tensor] :
         mantissa::support::load_tensors(argv[1])) {
      run(name, tensor, out);
    }
    mantissa::support::save_tensors(argv[2], out);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
