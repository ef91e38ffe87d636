#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa::report {

/// Where a tensor stands in the model, read from its name and role.
struct Place {
  std::string kind;    ///< "Attention", "MLP", "Experts", "Norm", ...
  int layer = -1;      ///< first number in the name; -1: outside the layers
  std::string module;  ///< name behind the layer number, numbers as '#'
};

Place place_of(const LoadingTensor& tensor);

/// The worst matrix of a tensor: its expert, or 0.
struct WorstMatrix {
  std::size_t index = 0;
  double sqnr = 0;
};

/// Empty when the tensor was not measured.
std::optional<WorstMatrix> worst_matrix(const TensorResult& result);

/// Bytes of one kind of layer before and after.
struct KindSize {
  std::string kind;
  std::int64_t tensors = 0;
  std::int64_t source_bytes = 0;
  std::int64_t output_bytes = 0;
};

/// A tensor and its SQNR.
struct Measured {
  std::size_t tensor;  ///< index in Plan::tensors
  double sqnr;         ///< of the whole tensor
  WorstMatrix worst;
};

/// What every form of the report is made from.
struct Facts {
  std::vector<KindSize> kinds;     ///< in order of the model, only present ones
  std::vector<Measured> measured;  ///< worst first
  ErrorSums total;
  ExponentHistogram scales;
  ExponentHistogram crests;
  std::string outputs_xxh3;         ///< hash_outputs()
  std::string quantization_config;  ///< as config.json has it, indented; or ""
};

/// XXH3 over names and hashes of all outputs.
std::string hash_outputs(const Plan& plan, const RunResult& result);

/// Throws Error(Unexpected) when the result is not parallel to the plan.
Facts gather_facts(const Plan& plan, const RunResult& result);

/// "38.60", "inf"; "" for an empty optional.
std::string spell_db(double sqnr);

}  // namespace mantissa::report
