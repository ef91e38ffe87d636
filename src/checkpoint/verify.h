#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// How bad a finding is, from the mildest.
enum class Severity {
  Note,       ///< worth knowing; the checkpoint is sound
  Wrong,      ///< well-formed, but does not mean what it should
  Malformed,  ///< cannot be read
};

/// One thing that verify() found.
struct Finding {
  Severity severity;
  std::string tensor;  ///< "" when it is about the whole checkpoint
  std::string what;
};

/// A finding of the middle severity.
inline Finding wrong(std::string tensor, std::string what) {
  return {Severity::Wrong, std::move(tensor), std::move(what)};
}

/// Whether NaN and infinity in tensors that are not quantized are wrong.
enum class NonfinitePolicy { Wrong, Allowed };

struct VerifyOptions {
  int workers = 1;
  NonfinitePolicy nonfinite = NonfinitePolicy::Wrong;
};

/// What was checked and what was found.
struct VerifyReport {
  std::int64_t tensors = 0;    ///< logical tensors whose values were read
  std::int64_t quantized = 0;  ///< of these
  std::int64_t bytes = 0;
  std::int64_t hashed_bytes = 0;  ///< compared with mantissa_manifest.json
  std::int64_t nonfinite = 0;  ///< findings that NonfinitePolicy::Allowed drops
  std::vector<Finding> findings;  ///< the whole checkpoint first, then by name

  /// The worst severity; Note when nothing was found.
  Severity worst() const;
};

/// Checks a checkpoint that could be opened (which validates headers and
/// index): metadata against tensors, every value against its format,
/// config.json against what is stored.
VerifyReport verify(const CheckpointSource& source,
                    const VerifyOptions& options);

/// The first tensor in natural order whose values are wrong (NaN or infinity, a
/// code or zero point out of range), as verify() finds it. Reads values alone,
/// and few behind that tensor.
std::optional<Finding> first_wrong_value(const CheckpointSource& source,
                                         int workers);

}  // namespace mantissa
