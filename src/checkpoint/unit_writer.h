#pragma once

#include <functional>
#include <memory>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/output_directory.h"
#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"
#include "checkpoint/work_units.h"

namespace mantissa {

struct UnitWriterOptions {
  /// Called before each block; may throw to stop.
  std::function<void()> check;
  /// Tensors that are not quantized may hold NaN and infinity.
  bool allow_nonfinite = false;
};

/// Writes one tensor of a plan, unit by unit, and measures and hashes what it
/// writes. For one thread.
class UnitWriter {
 public:
  /// Everything outlives the writer.
  UnitWriter(const PlannedTensor& planned,
             const CheckpointSource& source,
             OutputDirectory& out,
             const UnitWriterOptions& options);
  ~UnitWriter();

  /// Hashes are those of the unit's ranges (unit_ranges()). Throws Error(Input)
  /// with tensor and index for a non-finite weight.
  TensorResult write(const WorkUnit& unit);

 private:
  TensorResult encode(const WorkUnit& unit);
  TensorResult copy();
  void make_passes();

  const PlannedTensor& planned_;
  const CheckpointSource& source_;
  OutputDirectory& out_;
  const std::function<void()>& check_;
  const bool check_kept_;
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace mantissa
