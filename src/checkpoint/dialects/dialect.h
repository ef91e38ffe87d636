#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/config.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect_checkpoint.h"
#include "checkpoint/verify.h"

namespace mantissa {

struct LogicalTensor;
struct Plan;
struct PlanRequest;

/// What a format meets outside, measured on a CPU (docs/formats).
struct LoaderNote {
  bool private_format = false;  ///< nobody else can load it
  std::string loads;            ///< what loads it
  std::string runs;             ///< what runs it
  std::string format = {};      ///< "" or the format with what tells it apart
};

/// A convention by which quantized tensors stand in safetensors files and in
/// config.json: one row of the table in registry.cpp.
class Dialect {
 public:
  virtual ~Dialect() = default;

  /// Its quant_method in config.json, and the word of --format.
  virtual std::string_view name() const = 0;

  // Writing.

  /// What a config chose, as this dialect stores it: the same encoding, one of
  /// its own with the same values, or a refusal.
  virtual WeightChoice stored_form(WeightChoice choice) const { return choice; }
  /// The config whose encodings hold an encoding of any dialect on the same
  /// grid; `zero_points`: some are not 0. Throws Error(Usage) saying why there
  /// is none.
  virtual ConfigPtr equivalent_config(const Encoding& encoding,
                                      bool zero_points) const = 0;
  /// Name of a field in the file. Throws Error(Usage) for a tensor whose name
  /// the dialect cannot hold.
  virtual std::string field_name(std::string_view tensor,
                                 std::string_view field) const = 0;
  /// What loads an encoding, with its parameters and rank taken into account.
  virtual LoaderNote loader_note(const Encoding& encoding) const = 0;
  /// Adds warnings and problems that concern the tensors together.
  virtual void check_plan(const PlanRequest&, Plan&) const {}
  /// `__metadata__` of every shard of a plan that quantizes.
  virtual std::map<std::string, std::string> metadata(
      const Plan& plan) const = 0;
  /// quantization_config of config.json; `recorded` is what the user asked for,
  /// null when nobody knows. Null where the dialect cannot say it without.
  virtual nlohmann::ordered_json quantization_config(
      const Plan& plan, const Config* recorded) const = 0;

  // Reading.

  /// True when the source holds tensors of this convention.
  virtual bool recognizes(const CheckpointSource& source) const = 0;
  /// The logical tensors. The source outlives them. Throws Error(Input) when
  /// the convention's own data cannot be read at all.
  virtual std::unique_ptr<DialectCheckpoint> open(
      const CheckpointSource& source) const = 0;
  /// Compares config.json's quantization_config with the quantized tensors.
  virtual std::vector<Finding> verify_config(
      const nlohmann::ordered_json& quantization,
      std::span<const LogicalTensor* const> quantized) const = 0;
};

/// All dialects; the first is the default.
std::span<const Dialect* const> dialects();

/// The dialect of that name; null if there is none.
const Dialect* find_dialect(std::string_view name);

/// The dialect that recognizes a source; null if none does.
const Dialect* dialect_of(const CheckpointSource& source);

}  // namespace mantissa
