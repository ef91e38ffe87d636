#include "checkpoint/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/output_config.h"
#include "checkpoint/plan_decisions.h"
#include "checkpoint/plan_layout.h"
#include "checkpoint/plan_memory.h"
#include "checkpoint/plan_totals.h"
#include "checkpoint/safetensors_header.h"

namespace mantissa {

std::string_view name(Action action) {
  switch (action) {
    case Action::Quantize:
      return "quantize";
    case Action::Carry:
      return "carry";
    case Action::Keep:
      return "keep";
    case Action::Cast:
      return "cast";
    case Action::Skip:
      return "skip";
    case Action::Tie:
      return "tie";
  }
  return "";
}

std::vector<std::string> names_of_matrices(const Plan& plan) {
  std::vector<std::string> out;
  for (const PlannedTensor& planned : plan.tensors) {
    if (is_matrix(planned.tensor)) out.push_back(planned.tensor.name);
  }
  return out;
}

bool is_encoded(const PlannedTensor& tensor) {
  return tensor.action == Action::Quantize || tensor.action == Action::Carry;
}

bool anything_encoded(const Plan& plan) {
  return std::ranges::any_of(plan.tensors, is_encoded);
}

Plan make_plan(const CheckpointSource& source, const PlanRequest& request) {
  Plan plan;
  plan.dialect =
      request.dialect == nullptr ? dialects().front() : request.dialect;
  plan.names = loading_names(source);
  plan.companions = source.companions();
  plan.warnings = source.notes();
  decide_actions(source, request, plan);
  complete_plan(source, request, plan);
  return plan;
}

namespace {

// Formats that pad rows and columns make small weights larger.
void warn_of_growth(Plan& plan) {
  std::int64_t plain = 0;
  std::int64_t encoded = 0;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!is_encoded(planned)) continue;
    plain += byte_count(planned.tensor.dtype, planned.tensor.shape);
    encoded += output_bytes(planned);
  }
  if (encoded <= plain) return;
  plan.warnings.push_back(
      fmt::format("quantized tensors take {} bytes, and {} unquantized: they "
                  "are too small for their format; --ignore keeps them",
                  encoded,
                  plain));
}

}  // namespace

void complete_plan(const CheckpointSource& source,
                   const PlanRequest& request,
                   Plan& plan) {
  // Before the names come into JSON, which takes UTF-8 only.
  for (const PlannedTensor& planned : plan.tensors) {
    check_tensor_name(planned.tensor.name);
  }
  plan.dialect->check_plan(request, plan);
  const std::string config = output_config_json(source, request, plan);
  if (!config.empty()) plan.texts.push_back({"config.json", config});
  lay_out_files(source, request, plan);
  for (const SourceTensor& tensor : source.tensors()) {
    plan.source_bytes += tensor.stored_bytes;
  }
  for (const Shard& shard : plan.shards) plan.output_bytes += shard.file_bytes;
  warn_of_growth(plan);
  plan.memory_bytes = memory_bound(plan, request.workers);
  require_memory(request, plan);
}

void require_runnable(const Plan& plan) {
  if (plan.problems.empty()) return;
  const auto by_kind = [](const Problem& a, const Problem& b) {
    return exit_code(a.kind) < exit_code(b.kind);
  };
  const ErrorKind kind =
      std::min_element(plan.problems.begin(), plan.problems.end(), by_kind)
          ->kind;
  std::vector<std::string> messages;
  for (const Problem& problem : plan.problems) {
    if (problem.kind == kind) messages.push_back(problem.message);
  }
  throw PlanRefused(kind, std::move(messages));
}

PlanRefused::PlanRefused(ErrorKind kind, std::vector<std::string> messages)
    : Error(kind, fmt::format("{}", fmt::join(messages, "\n"))),
      messages_(std::move(messages)) {}

}  // namespace mantissa
