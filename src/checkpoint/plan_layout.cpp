#include "checkpoint/plan_layout.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/output_config.h"
#include "checkpoint/safetensors_header.h"
#include "configs/fields.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// The tensors that a planned tensor becomes in the file.
std::vector<FileTensor> files_of(const CheckpointSource& source,
                                 const Dialect& dialect,
                                 const PlannedTensor& planned) {
  const LoadingTensor& tensor = planned.tensor;
  std::vector<FileTensor> out;
  if (planned.action == Action::Tie) return out;
  if (is_encoded(planned)) {
    for (const FieldLayout& field : planned.encoding->fields()) {
      out.push_back({dialect.field_name(tensor.name, field.name),
                     field.dtype,
                     field.shape});
    }
  } else if (tensor.pieces.size() == 1) {
    out.push_back({tensor.name, tensor.dtype, tensor.shape});
  } else {
    for (const Piece& piece : tensor.pieces) {
      const SourceTensor& stored = source.tensors()[piece.source];
      out.push_back({stored.name, stored.dtype, stored.shape});
    }
  }
  return out;
}

std::string mantissa_metadata(const CheckpointSource& source,
                              const ConfigPtr& config) {
  Json out = {{"tool_version", kVersion}};
  out["config"] =
      config == nullptr ? Json(nullptr) : config_object(*config);
  out["source_xxh3"] = source.fingerprint();
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// `__metadata__` of every shard: all entries, whatever shard holds them.
std::map<std::string, std::string> metadata(const CheckpointSource& source,
                                            const ConfigPtr& config,
                                            const Plan& plan) {
  std::map<std::string, std::string> out = {{"format", "pt"}};
  if (anything_encoded(plan)) out = plan.dialect->metadata(plan);
  out["mantissa"] = mantissa_metadata(source, config);
  return out;
}

std::string shard_name(std::size_t index, std::size_t count) {
  return count == 1 ? std::string("model.safetensors")
                    : fmt::format(
                          "model-{:05}-of-{:05}.safetensors", index + 1, count);
}

std::string index_json(const Plan& plan, std::int64_t total) {
  std::map<std::string, std::string> weight_map;
  for (const PlannedTensor& planned : plan.tensors) {
    for (const FileTensor& file : planned.outputs) {
      weight_map[file.name] = plan.shards[file.shard].file;
    }
  }
  Json out = {{"metadata", {{"total_size", total}}}};
  out["weight_map"] = weight_map;
  return out.dump(2) + "\n";
}

// Tensors in order fill a shard until the next one would exceed the limit.
std::size_t assign_shards(Plan& plan, std::int64_t limit) {
  std::size_t shard = 0;
  std::int64_t filled = 0;
  for (PlannedTensor& planned : plan.tensors) {
    for (FileTensor& file : planned.outputs) {
      const std::int64_t bytes = byte_count(file.dtype, file.shape);
      if (filled > 0 && filled + bytes > limit) {
        ++shard;
        filled = 0;
      }
      file.shard = shard;
      filled += bytes;
    }
  }
  return shard + 1;
}

// Canonical order inside the file; offsets go back into the plan.
Shard lay_out_shard(const std::vector<FileTensor*>& files,
                    const std::string& name,
                    const std::map<std::string, std::string>& metadata) {
  std::vector<HeaderEntry> entries;
  std::unordered_map<std::string_view, FileTensor*> by_name;
  entries.reserve(files.size());
  by_name.reserve(files.size());
  for (FileTensor* file : files) {
    entries.push_back({file->name, file->dtype, file->shape});
    if (!by_name.emplace(file->name, file).second) {
      throw Error(ErrorKind::Input,
                  file->name +
                      ": two tensors would have this name in the "
                      "output");
    }
  }
  set_canonical_layout(entries);
  Shard shard{name, write_header(entries, metadata), 0};
  const auto start = static_cast<std::int64_t>(shard.header.size());
  shard.file_bytes = start + (entries.empty() ? 0 : entries.back().end);
  for (const HeaderEntry& entry : entries) {
    by_name.at(entry.name)->offset = start + entry.begin;
  }
  return shard;
}

}  // namespace

void lay_out_files(const CheckpointSource& source,
                   const PlanRequest& request,
                   Plan& plan) {
  for (PlannedTensor& planned : plan.tensors) {
    planned.outputs = files_of(source, *plan.dialect, planned);
  }
  const std::size_t count = assign_shards(plan, request.shard_bytes);
  std::vector<std::vector<FileTensor*>> shards(count);
  for (PlannedTensor& planned : plan.tensors) {
    for (FileTensor& file : planned.outputs) {
      shards[file.shard].push_back(&file);
    }
  }
  const auto meta = metadata(source, recorded_config(request, plan), plan);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Shard shard = lay_out_shard(shards[i], shard_name(i, count), meta);
    total += shard.file_bytes - static_cast<std::int64_t>(shard.header.size());
    plan.shards.push_back(std::move(shard));
  }
  if (count > 1) {
    plan.texts.push_back(
        {"model.safetensors.index.json", index_json(plan, total)});
  }
}

}  // namespace mantissa
