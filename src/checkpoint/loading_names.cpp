#include "checkpoint/loading_names.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/architectures.h"
#include "checkpoint/bounded_json.h"
#include "checkpoint/fuse_experts.h"
#include "checkpoint/name_table.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// What config.json says that the names depend on.
struct ModelConfig {
  std::string architecture;
  std::string model_type;
  std::optional<bool> tie;
  std::optional<std::int64_t> layers;
  std::optional<std::int64_t> experts;
};

// A count that a model can have; anything else says nothing.
std::optional<std::int64_t> count(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_number_integer()) return std::nullopt;
  const auto value = it->get<std::int64_t>();
  if (value < 1 || value > 1'000'000'000) return std::nullopt;
  return value;
}

std::string text(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

ModelConfig parse_config(const std::string& config_json) {
  ModelConfig config;
  if (config_json.empty()) return config;
  const Json json = parse_config_object(config_json, "config.json");
  const auto names = json.find("architectures");
  if (names != json.end() && names->is_array() && !names->empty() &&
      names->front().is_string()) {
    config.architecture = names->front().get<std::string>();
  }
  config.model_type = text(json, "model_type");
  const auto tie = json.find("tie_word_embeddings");
  if (tie != json.end() && tie->is_boolean()) config.tie = tie->get<bool>();
  config.layers = count(json, "num_hidden_layers");
  config.experts = count(json, "num_local_experts");
  if (!config.experts) config.experts = count(json, "num_experts");
  return config;
}

LoadingTensor whole(const SourceTensor& tensor,
                    std::size_t index,
                    std::string name,
                    TensorRole role) {
  return {.name = std::move(name),
          .dtype = tensor.dtype,
          .shape = tensor.shape,
          .role = role,
          .pieces = {{.source = index}}};
}

LoadingNames unknown_names(const CheckpointSource& source,
                           std::string architecture) {
  LoadingNames out;
  out.architecture = std::move(architecture);
  out.tensors.reserve(source.tensors().size());
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const SourceTensor& tensor = source.tensors()[i];
    out.tensors.push_back(whole(tensor, i, tensor.name, TensorRole::Unknown));
  }
  return out;
}

// A fused tensor whose pieces are being collected.
struct FusedTensor {
  std::size_t position;  // in LoadingNames::tensors
  NameMatch match;       // of its first piece
  std::vector<ExpertPiece> pieces;
};

// Names every source tensor; fused tensors get their pieces alone.
std::vector<FusedTensor> name_tensors(const CheckpointSource& source,
                                      const NameTable& table,
                                      LoadingNames& out) {
  std::vector<FusedTensor> fused;
  std::unordered_map<std::string, std::size_t> fused_at;  // by loading name
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    const SourceTensor& tensor = source.tensors()[i];
    const std::optional<NameMatch> match = table.find(tensor.name);
    if (!match) {
      out.tensors.push_back(whole(tensor, i, tensor.name, TensorRole::Unknown));
      continue;
    }
    LoadingTensor named =
        whole(tensor, i, match->loading_name(), match->row->role);
    if (match->row->part == ExpertPart::None) {
      out.tensors.push_back(std::move(named));
      continue;
    }
    const auto [it, fresh] = fused_at.emplace(named.name, fused.size());
    if (fresh) {
      fused.push_back({out.tensors.size(), *match, {}});
      named.pieces.clear();
      out.tensors.push_back(std::move(named));
    }
    fused[it->second].pieces.push_back(
        {match->numbers.back(), match->row->part, i});
  }
  return fused;
}

// Two source tensors under one loading name: one of them would be lost.
void check_unique(const CheckpointSource& source, const LoadingNames& names) {
  std::unordered_map<std::string_view, const LoadingTensor*> seen;
  seen.reserve(names.tensors.size());
  for (const LoadingTensor& tensor : names.tensors) {
    const auto [it, fresh] = seen.emplace(tensor.name, &tensor);
    if (fresh) continue;
    const auto stored = [&](const LoadingTensor& other) {
      return source.tensors()[other.pieces.front().source].name;
    };
    throw Error(ErrorKind::Input,
                fmt::format("{}: two tensors of the checkpoint load as this "
                            "one: {} and {}; remove one of them",
                            printable(tensor.name),
                            printable(stored(*it->second)),
                            printable(stored(tensor))));
  }
}

// The head that a tie takes from the embedding, if the file leaves it out.
void add_tied_head(const Architecture& architecture, LoadingNames& names) {
  const LoadingTensor* embedding = nullptr;
  for (const LoadingTensor& tensor : names.tensors) {
    if (tensor.role == TensorRole::Head) return;
    if (tensor.name == names.embedding) embedding = &tensor;
  }
  if (!embedding) return;
  LoadingTensor head = *embedding;
  head.name = architecture.kind->tied;
  head.role = TensorRole::Head;
  head.tied = true;
  names.tensors.push_back(std::move(head));
}

}  // namespace

bool is_matrix(const LoadingTensor& tensor) {
  const std::size_t rank = tensor.shape.size();
  return (rank == 2 || rank == 3) && is_high_precision(tensor.dtype) &&
         tensor.dtype != DType::Float64;
}

LoadingNames loading_names(const CheckpointSource& source) {
  const ModelConfig config = parse_config(source.config_json());
  const Architecture* architecture =
      find_architecture(config.architecture, config.model_type);
  if (!architecture) return unknown_names(source, config.architecture);

  LoadingNames out;
  out.architecture = architecture->name;
  out.known = true;
  out.tensors.reserve(source.tensors().size() + 1);
  const NameTable table(*architecture, config.layers);
  for (FusedTensor& fused : name_tensors(source, table, out)) {
    fuse_experts(source,
                 table,
                 fused.match,
                 config.experts,
                 std::move(fused.pieces),
                 out.tensors[fused.position]);
  }
  check_unique(source, out);
  out.embedding = std::string(table.loading_prefix()) +
                  std::string(architecture->family->embedding);
  if (std::ranges::find(out.tensors, out.embedding, &LoadingTensor::name) ==
      out.tensors.end()) {
    out.embedding.clear();
  }
  out.tied_embeddings = !architecture->kind->tied.empty() &&
                        config.tie.value_or(architecture->family->tie_default);
  if (out.tied_embeddings) add_tied_head(*architecture, out);
  return out;
}

}  // namespace mantissa
