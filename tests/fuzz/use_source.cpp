#include "fuzz/use_source.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/name_rules.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/convert_rules.h"
#include "checkpoint/decoded_source.h"
#include "checkpoint/dialects/dialect.h"
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

// A source that DecodedSource can own while the caller keeps it.
class Borrowed final : public CheckpointSource {
 public:
  explicit Borrowed(const CheckpointSource& source) : source_(source) {}

  std::string kind() const override { return source_.kind(); }
  const std::vector<SourceTensor>& tensors() const override {
    return source_.tensors();
  }
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override {
    source_.read_rows(index, row, rows, out);
  }
  const std::map<std::string, std::string>& metadata() const override {
    return source_.metadata();
  }
  const std::string& config_json() const override {
    return source_.config_json();
  }
  std::vector<Companion> companions() const override {
    return source_.companions();
  }
  std::string fingerprint() const override { return source_.fingerprint(); }

 private:
  const CheckpointSource& source_;
};

void convert(const CheckpointSource& source) {
  const Dialect* dialect = dialect_of(source);
  if (dialect == nullptr) return;
  for (const Dialect* target : dialects()) {
    allow_refusal([&] {
      const DecodedSource decoded(
          std::make_unique<Borrowed>(source),
          *dialect,
          target == dialect ? SideTensors::Keep : SideTensors::Drop);
      const RuleSet rules = convert_rules(decoded, *target);
      PlanRequest request;
      request.rules = &rules;
      request.dialect = target;
      make_plan(decoded, request);
    });
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
  convert(source);
}

}  // namespace mantissa::fuzz
