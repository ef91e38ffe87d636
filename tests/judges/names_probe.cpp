// Prints what the names table says of a checkpoint, for a judge. Input: a JSON
// file {"config": text, "tensors": [[name, dtype, shape], ...]}; with --rows,
// every row of every architecture instead.
#include <fstream>
#include <iostream>

#include <nlohmann/json.hpp>

#include "checkpoint/architectures.h"
#include "checkpoint/loading_names.h"
#include "support/memory_source.h"

namespace {

using Json = nlohmann::ordered_json;

const char* word(mantissa::TensorRole role) {
  constexpr const char* kWords[] = {"Linear",
                                    "Experts",
                                    "Head",
                                    "Embedding",
                                    "Norm",
                                    "Bias",
                                    "Router",
                                    "Position",
                                    "Unknown"};
  return kWords[static_cast<int>(role)];
}

Json rows_json() {
  Json out = Json::object();
  for (const auto& architecture : mantissa::architectures()) {
    Json& rows = out[std::string(architecture.name)];
    rows = Json::array();
    const auto add = [&](mantissa::NameRows names) {
      for (const auto& row : names) rows.push_back(row.stored);
    };
    for (const auto& names : architecture.family->rows) add(names);
    add(architecture.kind->base);
    add(architecture.kind->root);
  }
  return out;
}

Json names_json(const mantissa::LoadingNames& names) {
  Json tensors = Json::array();
  for (const auto& tensor : names.tensors) {
    Json pieces = Json::array();
    for (const auto& piece : tensor.pieces) {
      pieces.push_back({piece.source, piece.matrix, piece.row});
    }
    tensors.push_back({{"name", tensor.name},
                       {"dtype", name(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"role", word(tensor.role)},
                       {"tied", tensor.tied},
                       {"pieces", pieces}});
  }
  return {{"architecture", names.architecture},
          {"known", names.known},
          {"tied_embeddings", names.tied_embeddings},
          {"embedding", names.embedding},
          {"tensors", tensors}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::string(argv[1]) == "--rows") {
    std::cout << rows_json() << "\n";
    return 0;
  }
  std::ifstream file(argv[1]);
  const Json input = Json::parse(file);
  mantissa::support::MemorySource source(input["config"].get<std::string>());
  for (const Json& tensor : input["tensors"]) {
    source.add(
        tensor[0].get<std::string>(),
        mantissa::dtype_from_safetensors(tensor[1].get<std::string>()).value(),
        tensor[2].get<mantissa::Shape>());
  }
  std::cout << names_json(mantissa::loading_names(source)) << "\n";
  return 0;
}
