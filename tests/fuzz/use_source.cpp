#include "fuzz/use_source.h"

#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/name_rules.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/inspect.h"
#include "checkpoint/logical_checkpoint.h"
#include "checkpoint/plan.h"
#include "checkpoint/quantized_reason.h"
#include "checkpoint/verify.h"
#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

template <class Call>
void allow_refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input || error.kind() == ErrorKind::Usage,
           "what is wrong with an input is Input or Usage");
  }
}

void inspect(const CheckpointSource& source) {
  const LogicalCheckpoint logical(source, TensorNames::Stored);
  const CheckpointTotals totals = checkpoint_totals(logical.tensors());
  expect(totals.tensors >= 0 && totals.bytes >= 0, "totals do not wrap");
  quantization_scheme(logical);
  group_tensors(logical.tensors());
}

void plan(const CheckpointSource& source) {
  static const RuleSet rules =
      make_rule_set(parse_config_words("int8_weight_only"));
  PlanRequest request;
  request.rules = &rules;
  request.shard_bytes = 100'000;
  const Plan plan = make_plan(source, request);
  for (const PlannedTensor& planned : plan.tensors) {
    expect(!planned.reason.empty(), "every action has a reason");
  }
  for (const TextFile& text : plan.texts) {
    expect(nlohmann::json::accept(text.text), "what the plan writes is JSON");
  }
}

}  // namespace

void use_source(const CheckpointSource& source) {
  quantization_method(source);
  quantized_reason(source);
  convert_refusal(source);
  allow_refusal([&] { inspect(source); });
  allow_refusal([&] { verify(source, {}); });
  allow_refusal([&] { plan(source); });
}

}  // namespace mantissa::fuzz
