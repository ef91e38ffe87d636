#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/name_rules.h>
#include <mantissa/core/error.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/loading_names.h"

namespace mantissa {

class Dialect;

/// What happens to a tensor. Every tensor has exactly one action and a reason.
enum class Action {
  Quantize,  ///< read, encoded, written as fields
  Carry,     ///< codes of a quantized source carried over exactly
  Keep,      ///< written as it is
  Cast,      ///< written in another dtype than stored
  Skip,      ///< eligible, but its shape or name does not allow it
  Tie,       ///< not in the file: shares the embedding's bytes
};

/// "quantize", "carry", "keep", "cast", "skip", "tie".
std::string_view name(Action action);

/// A tensor of an output file at its final place.
struct FileTensor {
  std::string name;
  DType dtype = DType::UInt8;
  Shape shape;
  std::size_t shard = 0;    ///< index in Plan::shards
  std::int64_t offset = 0;  ///< byte offset in that file
};

/// One tensor of the model and what will be done with it.
struct PlannedTensor {
  LoadingTensor tensor;
  Action action = Action::Keep;
  std::string reason;  ///< never empty
  std::string rule;    ///< origin of the explicit rule, or ""
  std::string
      chosen;        ///< words of the config that a choice by size gave, or ""
  ConfigPtr config;  ///< what chose the encoding, or null
  std::shared_ptr<const Encoding> encoding;  ///< of Quantize and Carry
  std::string stored_type;                   ///< of the source
  std::int64_t source_bytes = 0;
  /// Fields in the encoding's order, or the plain tensor, or one plain tensor a
  /// piece where experts stay as they are stored.
  std::vector<FileTensor> outputs;
  /// Relative squared error that a choice by size expects.
  std::optional<double> predicted_error;
};

/// One .safetensors file of the output.
struct Shard {
  std::string file;
  std::string header;           ///< length prefix and JSON, ready to write
  std::int64_t file_bytes = 0;  ///< header and data
};

/// A small file of the output that the plan itself makes.
struct TextFile {
  std::string name;
  std::string text;
};

/// A reason not to start, with its exit code.
struct Problem {
  ErrorKind kind;
  std::string message;
};

/// How often an explicit rule hit.
struct RuleHits {
  std::string origin;
  std::int64_t tensors = 0;
};

/// What a choice by size (size_target.h) gave a tensor.
struct ChosenConfig {
  std::string words;  ///< as --tensor-type takes it
  ConfigPtr config;
  double error = 0;  ///< relative squared error, measured on sampled rows
};

/// What a choice by size comes to.
struct SizeOutcome {
  std::string words;       ///< what the user said
  std::int64_t bytes = 0;  ///< that was allowed
  /// Kullback-Leibler divergence that the errors predict, nats a token.
  double divergence = 0;
};

/// What the user asked for. `rules` null means: no quantization (convert).
struct PlanRequest {
  const RuleSet* rules = nullptr;
  ConfigPtr base;  ///< what -c gave, for config.json
  /// By name, in place of the base config for what no rule names.
  std::map<std::string, ChosenConfig> chosen;
  /// Of a choice by size: the base config of what has none chosen, which says
  /// why that fits no format.
  ConfigPtr unchosen;
  const Dialect* dialect = nullptr;  ///< null: torchao
  std::int64_t shard_bytes = 5'000'000'000;
  int workers = 1;              ///< how many the run will have
  std::int64_t max_memory = 0;  ///< refuse what may need more; 0: no bound
  /// The config was read with sorted keys: ParsedConfig::sorted_keys.
  bool sorted_keys = false;
  bool allow_skipped = false;
  bool allow_unknown_names = false;
  bool allow_private_format = false;
  bool allow_unloadable = false;  ///< what no loader reads as it is meant
  /// Tensors with non-finite weights that must stay, and what was found.
  std::map<std::string, std::string> nonfinite;
};

/// Everything that will happen, before the first byte: actions, names, offsets,
/// headers, config.json. Same source, rules and version give the same plan.
struct Plan {
  const Dialect* dialect = nullptr;  ///< how quantized tensors are written
  LoadingNames names;
  std::vector<PlannedTensor> tensors;
  std::vector<Shard> shards;
  std::vector<TextFile> texts;        ///< config.json, the index
  std::vector<Companion> companions;  ///< copied along
  std::vector<RuleHits> rule_hits;
  std::vector<std::string> warnings;
  /// No other program loads these formats beside each other.
  bool loads_here_alone = false;
  std::vector<Problem> problems;  ///< empty: the plan can run
  std::int64_t source_bytes = 0;
  std::int64_t output_bytes = 0;
  std::int64_t memory_bytes = 0;  ///< bound of the run's memory (memory_bound)
  std::optional<SizeOutcome> size;  ///< of a choice by size
};

/// Makes the plan; never throws for what it can list in Plan::problems.
Plan make_plan(const CheckpointSource& source, const PlanRequest& request);

/// Why a plan is not run: all problems of one kind. what() joins them by line
/// feeds; a name from a file may hold one, so who prints takes messages().
class PlanRefused : public Error {
 public:
  PlanRefused(ErrorKind kind, std::vector<std::string> messages);

  const std::vector<std::string>& messages() const { return messages_; }

 private:
  std::vector<std::string> messages_;
};

/// Throws PlanRefused with the problems of the first kind by weight (usage
/// before skipped).
void require_runnable(const Plan& plan);

/// Names of the tensors for which is_matrix().
std::vector<std::string> names_of_matrices(const Plan& plan);

/// True for actions that write an encoding.
bool is_encoded(const PlannedTensor& tensor);

/// True when a tensor of the plan is_encoded().
bool anything_encoded(const Plan& plan);

/// Last part of make_plan(), for a plan whose tensors have their actions: what
/// the dialect says of them together, config.json, files and sums. Throws
/// Error(Usage) for a name that safetensors files cannot hold.
void complete_plan(const CheckpointSource& source,
                   const PlanRequest& request,
                   Plan& plan);

}  // namespace mantissa
