#include "checkpoint/verify.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/loading_names.h"
#include "checkpoint/logical_checkpoint.h"
#include "checkpoint/safetensors_source.h"
#include "checkpoint/verify_config.h"
#include "checkpoint/verify_manifest.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

// Whether `name` may be in tensor_names without being in the files.
bool may_be_missing(const CheckpointSource& source, const std::string& name) {
  if (name != "lm_head.weight") return false;
  return loading_names(source).tied_embeddings;
}

void check_shards(const LogicalCheckpoint& checkpoint, VerifyReport& report) {
  for (const std::string& note : checkpoint.source().notes()) {
    report.findings.push_back({Severity::Note, "", note});
  }
  const auto* shards =
      dynamic_cast<const SafetensorsSource*>(&checkpoint.source());
  if (shards == nullptr) return;
  const bool quantized = checkpoint.quantized() != nullptr;
  for (const std::string& key : shards->metadata_conflicts()) {
    report.findings.push_back(
        {quantized ? Severity::Wrong : Severity::Note,
         "",
         fmt::format("metadata key {} is not the same in every shard{}",
                     quoted_name(key),
                     quantized
                         ? "; readers that go shard by shard need all of it"
                         : "")});
  }
}

void check_metadata(const LogicalCheckpoint& checkpoint, VerifyReport& report) {
  const DialectCheckpoint* quantized = checkpoint.quantized();
  if (quantized == nullptr) return;
  for (const std::string& problem : quantized->problems()) {
    report.findings.push_back({Severity::Malformed, "", problem});
  }
  for (const std::size_t index : quantized->leftovers()) {
    report.findings.push_back({Severity::Wrong,
                               checkpoint.source().tensors()[index].name,
                               "belongs to no tensor that the metadata lists"});
  }
  for (const std::string& name : quantized->missing()) {
    const bool tied = may_be_missing(checkpoint.source(), name);
    report.findings.push_back(
        {tied ? Severity::Note : Severity::Wrong,
         name,
         tied ? "is tied to the embedding, not stored"
              : "the metadata lists it, but the files hold nothing of it"});
  }
}

// Index of the first value that is not finite, -1 if there is none.
std::int64_t first_nonfinite(const LogicalCheckpoint& checkpoint,
                             const LogicalTensor& tensor) {
  const auto reader = checkpoint.reader(tensor);
  const std::int64_t width = row_shape(tensor.shape).width;
  std::int64_t found = -1;
  std::vector<double> values;
  for_each_row_block(tensor.shape, [&](std::int64_t row, std::int64_t rows) {
    if (found >= 0) return;
    values.resize(static_cast<std::size_t>(rows * width));
    reader->read(row, rows, values);
    const auto at = std::ranges::find_if(
        values, [](double value) { return !std::isfinite(value); });
    if (at != values.end()) found = row * width + (at - values.begin());
  });
  return found;
}

bool may_be_nonfinite(const LogicalTensor& tensor, NonfinitePolicy policy) {
  return policy == NonfinitePolicy::Allowed && !tensor.quantized;
}

// What is wrong with the values of one tensor, "" if nothing is.
std::string check_values(const LogicalCheckpoint& checkpoint,
                         const LogicalTensor& tensor,
                         NonfinitePolicy policy) {
  if (tensor.encoding != nullptr) {
    const EncodedTensor loaded = checkpoint.quantized()->load(tensor.name);
    return loaded.encoding->check_values(loaded.views());
  }
  if (may_be_nonfinite(tensor, policy) || tensor.dtype == DType::Complex64) {
    return {};
  }
  const std::int64_t index = first_nonfinite(checkpoint, tensor);
  if (index < 0) return {};
  return fmt::format("value {} is NaN or infinite", index);
}

// A quantized tensor whose metadata is malformed: told elsewhere.
bool unreadable(const LogicalCheckpoint& checkpoint,
                const LogicalTensor& tensor) {
  return checkpoint.quantized() != nullptr && tensor.quantized &&
         tensor.encoding == nullptr;
}

void check_all_values(const LogicalCheckpoint& checkpoint,
                      const VerifyOptions& options,
                      VerifyReport& report) {
  const auto& tensors = checkpoint.tensors();
  std::vector<std::string> wrong(tensors.size());
  WorkerPool pool(options.workers);
  pool.run(static_cast<std::int64_t>(tensors.size()),
           [&](std::int64_t index, int) {
             const auto i = static_cast<std::size_t>(index);
             if (unreadable(checkpoint, tensors[i])) return;
             wrong[i] = check_values(checkpoint, tensors[i], options.nonfinite);
           });
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    ++report.tensors;
    report.quantized += tensors[i].quantized ? 1 : 0;
    report.bytes += tensors[i].bytes;
    if (wrong[i].empty()) continue;
    report.nonfinite +=
        may_be_nonfinite(tensors[i], NonfinitePolicy::Allowed) ? 1 : 0;
    report.findings.push_back(
        {Severity::Wrong, tensors[i].name, std::move(wrong[i])});
  }
}

}  // namespace

Severity VerifyReport::worst() const {
  Severity worst = Severity::Note;
  for (const Finding& finding : findings) {
    worst = std::max(worst, finding.severity);
  }
  return worst;
}

VerifyReport verify(const CheckpointSource& source,
                    const VerifyOptions& options) {
  VerifyReport report;
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  check_shards(checkpoint, report);
  check_metadata(checkpoint, report);
  for (Finding& finding : verify_config(checkpoint)) {
    report.findings.push_back(std::move(finding));
  }
  if (const auto* files = dynamic_cast<const SafetensorsSource*>(&source)) {
    for (Finding& finding :
         verify_manifest(*files, options.workers, report.hashed_bytes)) {
      report.findings.push_back(std::move(finding));
    }
  }
  check_all_values(checkpoint, options, report);
  std::ranges::stable_sort(report.findings, natural_less, &Finding::tensor);
  return report;
}

std::optional<Finding> first_wrong_value(const CheckpointSource& source,
                                         int workers) {
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  const auto& tensors = checkpoint.tensors();
  std::vector<std::string> wrong(tensors.size());
  std::atomic<std::int64_t> first = std::ssize(tensors);
  WorkerPool pool(workers);
  pool.run(std::ssize(tensors), [&](std::int64_t index, int) {
    const auto i = static_cast<std::size_t>(index);
    if (index > first || unreadable(checkpoint, tensors[i])) return;
    wrong[i] = check_values(checkpoint, tensors[i], NonfinitePolicy::Wrong);
    std::int64_t before = first;
    while (!wrong[i].empty() && index < before &&
           !first.compare_exchange_weak(before, index)) {
    }
  });
  if (first == std::ssize(tensors)) return std::nullopt;
  const auto i = static_cast<std::size_t>(first.load());
  return mantissa::wrong(tensors[i].name, std::move(wrong[i]));
}

}  // namespace mantissa
