#include "checkpoint/safetensors_source.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/companions.h"
#include "checkpoint/hash.h"
#include "checkpoint/safetensors_index.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestIndex = 100'000'000;

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::Input, fmt::format("{}: {}", path.string(), what));
}

std::string first_bytes(const InputFile& file, const HeaderLimits& limits) {
  std::string bytes(
      static_cast<std::size_t>(std::min<std::int64_t>(8, file.size())), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  const std::int64_t extent = header_extent(std::as_bytes(std::span(bytes)),
                                            file.size(),
                                            file.path().string(),
                                            limits);
  bytes.resize(static_cast<std::size_t>(extent));
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// Rows as read_rows() counts them; a zero extent leaves no bytes to read.
std::int64_t row_count(const Shape& shape) {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

}  // namespace

SafetensorsSource::SafetensorsSource(const fs::path& file,
                                     CheckpointSurroundings around,
                                     const HeaderLimits& limits)
    : SafetensorsSource(std::move(around)) {
  add_shard(file, file.filename().string(), limits);
}

std::unique_ptr<SafetensorsSource> SafetensorsSource::from_shards(
    const std::vector<fs::path>& files,
    CheckpointSurroundings around,
    const HeaderLimits& limits) {
  std::unique_ptr<SafetensorsSource> source(
      new SafetensorsSource(std::move(around)));
  for (const fs::path& file : files) {
    source->add_shard(file, file.filename().string(), limits);
  }
  source->check_names_once();
  return source;
}

std::unique_ptr<SafetensorsSource> SafetensorsSource::from_index(
    const fs::path& index,
    CheckpointSurroundings around,
    const HeaderLimits& limits) {
  std::unique_ptr<SafetensorsSource> source(
      new SafetensorsSource(std::move(around)));
  source->index_json_ = read_text(index, kLargestIndex);
  SafetensorsIndex parsed = parse_index(source->index_json_, index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : parsed.weight_map) names.insert(file);
  const std::vector<std::string> unnamed = unnamed_weights(index, names);
  for (const std::string& name : names) {
    const fs::path file = index.parent_path() / name;
    std::error_code ignored;
    if (fs::status(file, ignored).type() == fs::file_type::not_found) {
      fail(index,
           fmt::format("names the file {}, which is not there; is the "
                       "download complete?",
                       quoted_name(name)));
    }
    source->add_shard(file, name, limits);
  }
  source->check_names_once();
  source->check_weight_map(index, std::move(parsed.weight_map));
  source->note_index(parsed.total_size, unnamed);
  return source;
}

void SafetensorsSource::check_weight_map(
    const fs::path& index,
    std::map<std::string, std::string> weight_map) const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    const auto entry = weight_map.find(name);
    if (entry == weight_map.end()) {
      fail(index,
           fmt::format("weight_map lacks tensor {}, which {} holds",
                       quoted_name(name),
                       quoted_name(shard_name(i))));
    }
    if (entry->second != shard_name(i)) {
      fail(index,
           fmt::format("weight_map puts tensor {} in {}, but {} holds it",
                       quoted_name(name),
                       quoted_name(entry->second),
                       quoted_name(shard_name(i))));
    }
    weight_map.erase(entry);
  }
  if (weight_map.empty()) return;
  const auto& [name, file] = *weight_map.begin();
  fail(index,
       fmt::format("weight_map puts tensor {} in {}, which lacks it",
                   quoted_name(name),
                   quoted_name(file)));
}

void SafetensorsSource::note_index(std::optional<std::uint64_t> total_size,
                                   const std::vector<std::string>& unnamed) {
  std::uint64_t stored = 0;
  for (const SourceTensor& tensor : tensors_) {
    stored += static_cast<std::uint64_t>(tensor.stored_bytes);
  }
  if (total_size && *total_size != stored) {
    notes_.push_back(
        fmt::format("the index says total_size {}, but the tensors have {} "
                    "bytes",
                    *total_size,
                    stored));
  }
  if (unnamed.empty()) return;
  notes_.push_back(
      fmt::format("{}{} in the folder of the index, which names no tensor of "
                  "it: not read",
                  quoted_name(unnamed[0]),
                  unnamed.size() == 1
                      ? " lies"
                      : fmt::format(" and {} more lie", unnamed.size() - 1)));
}

void SafetensorsSource::add_shard(const fs::path& path,
                                  std::string name,
                                  const HeaderLimits& limits) {
  InputFile file(path);
  const std::string bytes = first_bytes(file, limits);
  const auto span = std::as_bytes(std::span(bytes));
  SafetensorsHeader header =
      parse_header(span, file.size(), path.string(), limits);
  for (HeaderEntry& entry : header.tensors) {
    locations_.push_back({shards_.size(), header.data_start + entry.begin});
    tensors_.push_back(
        {.name = std::move(entry.name),
         .dtype = entry.dtype,
         .shape = std::move(entry.shape),
         .stored_type = std::string(safetensors_name(entry.dtype)),
         .stored_bytes = entry.end - entry.begin});
  }
  merge_metadata(std::move(header.metadata));
  shards_.push_back({std::move(name),
                     std::move(file),
                     Hash128().add(span).hex(),
                     static_cast<std::int64_t>(bytes.size())});
}

std::string SafetensorsSource::header(std::size_t shard) const {
  const Shard& from = shards_.at(shard);
  std::string bytes(static_cast<std::size_t>(from.header_bytes), '\0');
  from.file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void SafetensorsSource::merge_metadata(
    std::map<std::string, std::string> metadata) {
  const bool first = shards_.empty();
  for (const auto& [key, value] : metadata_) {
    if (!metadata.contains(key)) conflicts_.push_back(key);
  }
  for (auto& [key, value] : metadata) {
    const auto [entry, added] = metadata_.try_emplace(key, value);
    const bool differs = added ? !first : entry->second != value;
    if (differs) conflicts_.push_back(key);
  }
  std::ranges::sort(conflicts_);
  const auto [begin, end] = std::ranges::unique(conflicts_);
  conflicts_.erase(begin, end);
}

void SafetensorsSource::check_names_once() const {
  std::unordered_map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const auto [entry, added] = seen.try_emplace(tensors_[i].name, i);
    if (!added) {
      fail(around_.root,
           fmt::format("tensor {} stands in {} and again in {}",
                       quoted_name(tensors_[i].name),
                       quoted_name(shard_name(entry->second)),
                       quoted_name(shard_name(i))));
    }
  }
}

void SafetensorsSource::read_rows(std::size_t index,
                                  std::int64_t row,
                                  std::int64_t rows,
                                  std::span<std::byte> out) const {
  const SourceTensor& tensor = tensors_.at(index);
  // Extents beside a zero may be huge: no arithmetic on them.
  const bool none = tensor.stored_bytes == 0;
  const std::int64_t width =
      none || tensor.shape.empty() ? 1 : tensor.shape.back();
  const std::int64_t row_bits = width * bit_width(tensor.dtype);
  const std::int64_t total = none ? 0 : row_count(tensor.shape);
  const bool inside = row >= 0 && rows >= 0 && row <= total &&
                      rows <= total - row && row * row_bits % 8 == 0 &&
                      rows * row_bits % 8 == 0;
  if (none ? !out.empty()
           : !inside ||
                 out.size() != static_cast<std::size_t>(rows * row_bits / 8)) {
    throw Error(ErrorKind::Unexpected,
                fmt::format("tensor {}: {} bytes for {} rows from row {} of "
                            "{} {}",
                            quoted_name(tensor.name),
                            out.size(),
                            rows,
                            row,
                            tensor.stored_type,
                            to_string(tensor.shape)));
  }
  if (out.empty()) return;
  const Location& location = locations_[index];
  shards_[location.shard].file.read_at(location.offset + row * row_bits / 8,
                                       out);
}

std::vector<Companion> SafetensorsSource::companions() const {
  if (around_.root.empty()) return {};
  return find_companions(around_.root);
}

std::uint64_t SafetensorsSource::hash(std::size_t index) const {
  const Location& location = locations_.at(index);
  return hash_bytes(shards_[location.shard].file,
                    location.offset,
                    tensors_[index].stored_bytes);
}

std::vector<SourceFile> SafetensorsSource::files() const {
  std::vector<SourceFile> files;
  for (const Shard& shard : shards_) files.push_back(shard.file.identity());
  return files;
}

std::string SafetensorsSource::fingerprint() const {
  Hash128 hash;
  for (const Shard& shard : shards_) {
    hash.add(shard.header_hash).add(std::to_string(shard.file.size()));
  }
  return hash.add(index_json_).add(around_.config_json).hex();
}

}  // namespace mantissa
