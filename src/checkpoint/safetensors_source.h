#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/input_file.h"
#include "checkpoint/safetensors_header.h"

namespace mantissa {

/// What lies around the weight files of a checkpoint.
struct CheckpointSurroundings {
  std::string kind = "safetensors";
  std::filesystem::path root;  ///< folder of the companions; "" for none
  std::string config_json;
};

/// One or several safetensors files as one checkpoint.
class SafetensorsSource final : public CheckpointSource {
 public:
  /// One file.
  SafetensorsSource(const std::filesystem::path& file,
                    CheckpointSurroundings around,
                    const HeaderLimits& limits = {});
  /// The shards that an index names, which must agree with it.
  static std::unique_ptr<SafetensorsSource> from_index(
      const std::filesystem::path& index,
      CheckpointSurroundings around,
      const HeaderLimits& limits = {});
  /// Shards without an index, in this order.
  static std::unique_ptr<SafetensorsSource> from_shards(
      const std::vector<std::filesystem::path>& files,
      CheckpointSurroundings around,
      const HeaderLimits& limits = {});

  std::string kind() const override { return around_.kind; }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override;
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override {
    return around_.config_json;
  }
  std::vector<Companion> companions() const override;
  std::string fingerprint() const override;
  std::vector<std::string> notes() const override { return notes_; }
  std::vector<SourceFile> files() const override;

  /// Name of the file that holds tensor `index`.
  const std::string& shard_name(std::size_t index) const {
    return shards_[locations_[index].shard].name;
  }
  /// Folder of the companions, "" for a file that stands alone.
  const std::filesystem::path& root() const { return around_.root; }
  /// XXH3 of the bytes of a tensor.
  std::uint64_t hash(std::size_t index) const;
  std::size_t shard_count() const { return shards_.size(); }
  /// First 8 + N bytes of file `shard`, read again.
  std::string header(std::size_t shard) const;
  /// Name of file `shard`.
  const std::string& file_name(std::size_t shard) const {
    return shards_[shard].name;
  }
  /// Metadata keys whose values differ between shards; metadata() holds the
  /// first. A key that some shard lacks counts.
  const std::vector<std::string>& metadata_conflicts() const {
    return conflicts_;
  }

 private:
  struct Shard {
    std::string name;
    InputFile file;
    std::string header_hash;
    std::int64_t header_bytes;
  };
  struct Location {
    std::size_t shard;
    std::int64_t offset;  ///< in the file
  };

  explicit SafetensorsSource(CheckpointSurroundings around)
      : around_(std::move(around)) {}
  void add_shard(const std::filesystem::path& file,
                 std::string name,
                 const HeaderLimits& limits);
  void merge_metadata(std::map<std::string, std::string> metadata);
  void check_names_once() const;
  void check_weight_map(const std::filesystem::path& index,
                        std::map<std::string, std::string> weight_map) const;
  void note_index(std::optional<std::uint64_t> total_size,
                  const std::vector<std::string>& unnamed);

  CheckpointSurroundings around_;
  std::string index_json_;
  std::vector<Shard> shards_;
  std::vector<SourceTensor> tensors_;
  std::vector<Location> locations_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> conflicts_;
  std::vector<std::string> notes_;
};

}  // namespace mantissa
