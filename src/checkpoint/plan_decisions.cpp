#include "checkpoint/plan_decisions.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "checkpoint/carry_over.h"
#include "checkpoint/decoded_source.h"
#include "checkpoint/dialects/dialect.h"
#include "checkpoint/plan_misfits.h"
#include "checkpoint/quantized_reason.h"
#include "core/quoted.h"
#include "core/suggest.h"

namespace mantissa {
namespace {

// A matrix has an entry of its own in hashes, errors and the report, and a row
// is in memory as a whole; both bounds are far above any model's.
constexpr std::int64_t kMostMatrices = std::int64_t{1} << 16;
constexpr std::int64_t kMostColumns = std::int64_t{1} << 20;

bool sounds_kept(const std::string& name) {
  for (const char* word : {"embed", "norm", "wte", "wpe", "bias"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

class Decider {
 public:
  Decider(const CheckpointSource& source,
          const PlanRequest& request,
          Plan& plan)
      : source_(source), request_(request), plan_(plan) {}

  void run() {
    check_source();
    for (const LoadingTensor& tensor : plan_.names.tensors) {
      plan_.tensors.push_back(decide(tensor));
    }
    count_rule_hits();
    misfits_.report(plan_);
    warn_about_order();
  }

 private:
  void check_source() {
    if (is_decoded(source_)) return;
    const std::string conflict = quantization_conflict(source_);
    if (!conflict.empty()) return problem(ErrorKind::Input, conflict);
    const std::string reason = request_.rules == nullptr
                                   ? convert_refusal(source_)
                                   : quantized_reason(source_);
    if (!reason.empty()) problem(ErrorKind::Usage, reason);
  }

  void problem(ErrorKind kind, const std::string& message) {
    plan_.problems.push_back({kind, message});
  }

  PlannedTensor decide(const LoadingTensor& tensor) {
    PlannedTensor out;
    out.tensor = tensor;
    for (const Piece& piece : tensor.pieces) {
      const SourceTensor& stored = source_.tensors()[piece.source];
      out.stored_type = stored.stored_type;
      out.source_bytes += stored.stored_bytes;
    }
    if (tensor.tied) out.source_bytes = 0;
    if (request_.rules == nullptr) {
      keep(out, "converted without quantization");
      return out;
    }
    if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) {
      keep(out, "no elements");
      return out;
    }
    const RuleDecision decision = request_.rules->decide(tensor.name);
    if (decision.explicit_rule) {
      apply_rule(out, decision);
    } else {
      apply_base(out, decision.config);
    }
    return out;
  }

  // Without an encoding a tensor is written in its dtype: the same bytes, or a
  // cast where the source stores another type.
  void keep(PlannedTensor& out, const std::string& reason) {
    out.reason = reason;
    if (out.tensor.tied) {
      out.action = Action::Tie;
      out.reason = "tied to " + plan_.names.embedding;
      return;
    }
    const bool same = out.stored_type == safetensors_name(out.tensor.dtype) ||
                      out.stored_type.empty();
    out.action = same ? Action::Keep : Action::Cast;
    if (!same) {
      out.reason += fmt::format(
          "; {} to {}", out.stored_type, safetensors_name(out.tensor.dtype));
    }
  }

  void apply_rule(PlannedTensor& out, const RuleDecision& decision) {
    const NameRule& rule = request_.rules->rules()[decision.rule].rule;
    out.rule = rule.origin;
    const LoadingTensor& tensor = out.tensor;
    if (decision.config == nullptr) {
      keep(out, "rule: " + rule.origin);
      return;
    }
    const bool names_it = rule.pattern.syntax == NamePattern::Syntax::Exact &&
                          rule.pattern.text == tensor.name;
    if (!is_matrix(tensor) && !names_it) {
      keep(out,
           fmt::format("{}; {} leaves it", role_reason(tensor), rule.origin));
      return;
    }
    if (tensor.role == TensorRole::Unknown && !allow_unknown(out, true)) return;
    encode_with(out, decision.config, ErrorKind::Usage);
  }

  void apply_base(PlannedTensor& out, const ConfigPtr& base) {
    const LoadingTensor& tensor = out.tensor;
    const auto reason = request_.nonfinite.find(tensor.name);
    const auto chosen = request_.chosen.find(tensor.name);
    const bool picked = chosen != request_.chosen.end();
    if (base == nullptr && request_.unchosen == nullptr) {
      keep(out, "no rule applies");
    } else if (!is_eligible(tensor) && !picked) {
      keep(out, role_reason(tensor));
    } else if (reason != request_.nonfinite.end()) {
      keep(out, reason->second);
    } else if (tensor.role != TensorRole::Unknown ||
               allow_unknown(out, false)) {
      if (picked) {
        out.predicted_error = chosen->second.error;
        out.chosen = chosen->second.words;
      }
      const ConfigPtr& other = base == nullptr ? request_.unchosen : base;
      encode_with(
          out, picked ? chosen->second.config : other, ErrorKind::Skipped);
    }
  }

  std::string role_reason(const LoadingTensor& tensor) const {
    switch (tensor.role) {
      case TensorRole::Head:
        return "tied to " + plan_.names.embedding;
      case TensorRole::Embedding:
        return "embedding: kept unless a rule names it";
      case TensorRole::Norm:
        return "norm";
      case TensorRole::Bias:
        return "bias";
      case TensorRole::Router:
        return "router: kept unless a rule names it";
      case TensorRole::Position:
        return "position or type table: kept unless a rule names it";
      default:
        return is_matrix(tensor) ? "name of an embedding or a norm"
                                 : "not a float matrix";
    }
  }

  bool allow_unknown(PlannedTensor& out, bool by_rule) {
    if (request_.allow_unknown_names) return true;
    const std::string& name = out.tensor.name;
    if (!plan_.names.known) {
      const std::string who =
          plan_.names.architecture.empty()
              ? "there is no config.json that names an architecture"
              : "architecture " + plan_.names.architecture +
                    " is not in the names table";
      misfits_.add(
          ErrorKind::Usage,
          name,
          who +
              ", so the names in the file may not be those of the class "
              "that loads it",
          "--allow-unknown-names writes the names as they are");
    } else {
      misfits_.add(
          by_rule ? ErrorKind::Usage : ErrorKind::Skipped,
          name,
          "the name is unknown to " + plan_.names.architecture,
          "--allow-unknown-names quantizes it under this name, --ignore "
          "keeps it");
    }
    skip(out, "loading name unknown");
    return false;
  }

  void skip(PlannedTensor& out, const std::string& reason) {
    keep(out, reason);
    out.action = Action::Skip;
  }

  void encode_with(PlannedTensor& out,
                   const ConfigPtr& config,
                   ErrorKind misfit_kind) {
    const auto reason = request_.nonfinite.find(out.tensor.name);
    if (reason != request_.nonfinite.end()) {
      keep(out, reason->second);
      return;
    }
    const Choice& known = choose(out, config);
    const WeightChoice& choice = known.choice;
    if (choice.encoding == nullptr) {
      if (misfit_kind == ErrorKind::Usage || !request_.allow_skipped) {
        const bool by_size =
            misfit_kind == ErrorKind::Skipped && request_.unchosen != nullptr;
        misfits_.add(misfit_kind,
                     out.tensor.name,
                     choice.refusal,
                     by_size ? "--allow-skipped keeps it as it is, "
                               "--tensor-type gives it a config that fits"
                             : choice.remedy);
      }
      skip(out, choice.refusal);
      return;
    }
    out.config = config;
    out.encoding = choice.encoding;
    if (!choice.caution.empty()) {
      misfits_.caution(out.tensor.name, choice.caution);
    }
    require_loadable(out, known.note);
    const SourceTensor& stored = source_.tensors()[out.tensor.pieces[0].source];
    const bool exact =
        out.tensor.pieces.size() == 1 && carries_exactly(stored, *out.encoding);
    out.action = exact ? Action::Carry : Action::Quantize;
    out.reason = exact
                     ? "exact: codes of " + stored.stored_type + " carried over"
                     : quantize_reason(out);
    carry_decoded(out);
  }

  // A quantized source changes its dialect, never its values.
  void carry_decoded(PlannedTensor& out) {
    const std::size_t source = out.tensor.pieces[0].source;
    const std::string_view format = carried_format(source_, source);
    if (format.empty()) return;
    const auto carried = carried_encoding(source_, source, out.encoding);
    if (out.tensor.pieces.size() != 1 || carried == nullptr) {
      misfits_.add(ErrorKind::Usage,
                   out.tensor.name,
                   fmt::format("{} and {} do not have the same grid",
                               format,
                               out.encoding->format_name()),
                   "--format plain decodes it");
      return;
    }
    out.encoding = carried;
    out.reason = fmt::format("exact: codes of {} carried over", format);
  }

  // Equal shapes share one encoding object, and what is known of it.
  struct Choice {
    WeightChoice choice;
    LoaderNote note;
  };

  const Choice& choose(const PlannedTensor& out, const ConfigPtr& config) {
    const LoadingTensor& tensor = out.tensor;
    const auto key = std::make_tuple(config.get(), tensor.shape, tensor.dtype);
    const auto known = choices_.find(key);
    if (known != choices_.end()) return known->second;
    Choice choice;
    choice.choice = shape_refusal(tensor);
    if (choice.choice.refusal.empty()) {
      WeightChoice chosen = config->choose(tensor.shape, tensor.dtype);
      const std::string caution = chosen.caution;
      choice.choice = plan_.dialect->stored_form(std::move(chosen));
      choice.choice.caution = caution;
    }
    if (choice.choice.encoding != nullptr) {
      choice.note = plan_.dialect->loader_note(*choice.choice.encoding);
    }
    return choices_.emplace(key, std::move(choice)).first->second;
  }

  // What no format takes, with an empty refusal for all else.
  static WeightChoice shape_refusal(const LoadingTensor& tensor) {
    const std::string shape = to_string(tensor.shape);
    if (!is_matrix(tensor)) {
      return {nullptr,
              fmt::format("{} {} is not a float matrix",
                          shape,
                          mantissa::name(tensor.dtype)),
              "only 2-D and 3-D float weights can be quantized"};
    }
    const MatrixShape extents = matrix_shape(tensor.shape);
    if (extents.matrices > kMostMatrices) {
      return {nullptr,
              fmt::format("{}: {} matrices, at most {} are quantized",
                          shape,
                          extents.matrices,
                          kMostMatrices),
              ""};
    }
    if (extents.columns > kMostColumns) {
      return {nullptr,
              fmt::format("{}: {} columns, at most {} are quantized",
                          shape,
                          extents.columns,
                          kMostColumns),
              ""};
    }
    return {};
  }

  static std::string quantize_reason(const PlannedTensor& out) {
    std::string by = out.rule;
    if (by.empty()) by = out.chosen;
    if (by.empty()) by = out.config->type();
    if (out.stored_type == safetensors_name(out.tensor.dtype)) return by;
    return fmt::format("{}; requantized from {} through {}",
                       by,
                       out.stored_type,
                       mantissa::name(out.tensor.dtype));
  }

  void require_loadable(const PlannedTensor& out, const LoaderNote& note) {
    if (!note.private_format || request_.allow_private_format) return;
    misfits_.add(ErrorKind::Usage,
                 out.tensor.name,
                 note.loads,
                 "--allow-private-format writes it for Mantissa alone");
  }

  void count_rule_hits() {
    if (request_.rules == nullptr) return;
    const auto& entries = request_.rules->rules();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      plan_.rule_hits.push_back({entries[i].rule.origin, 0});
    }
    for (const PlannedTensor& tensor : plan_.tensors) {
      for (const std::size_t rule :
           request_.rules->matching_rules(tensor.tensor.name)) {
        ++plan_.rule_hits[rule].tensors;
      }
    }
    report_unmatched();
  }

  void report_unmatched() {
    constexpr std::size_t kShown = 20;  // a nearest name is searched for each
    std::vector<std::string> names;
    std::size_t unmatched = 0;
    for (std::size_t i = 0; i < plan_.rule_hits.size(); ++i) {
      if (plan_.rule_hits[i].tensors > 0 || ++unmatched > kShown) continue;
      if (names.empty()) names = names_to_match();
      report_unmatched(request_.rules->rules()[i].rule, names);
    }
    if (unmatched > kShown) {
      problem(ErrorKind::Usage,
              fmt::format("{} more rules match no tensor and no module",
                          unmatched - kShown));
    }
  }

  std::vector<std::string> names_to_match() const {
    std::set<std::string> names;
    for (const PlannedTensor& tensor : plan_.tensors) {
      const std::string& name = tensor.tensor.name;
      names.insert(name);
      names.insert(name.substr(0, name.rfind('.')));
    }
    return {names.begin(), names.end()};
  }

  void report_unmatched(const NameRule& rule,
                        const std::vector<std::string>& names) {
    const std::string nearest = nearest_name(rule.pattern.text, names);
    problem(ErrorKind::Usage,
            fmt::format("{} matches no tensor and no module{}",
                        rule.origin,
                        nearest.empty()
                            ? std::string()
                            : "; did you mean " + printable(nearest) + "?"));
  }

  // A config that Transformers saved has lost its order.
  void warn_about_order() {
    if (request_.rules == nullptr || !request_.sorted_keys) return;
    std::ranges::move(
        lost_order_warnings(*request_.rules, names_of_matrices(plan_)),
        std::back_inserter(plan_.warnings));
  }

  const CheckpointSource& source_;
  const PlanRequest& request_;
  Plan& plan_;
  PlanMisfits misfits_;
  std::map<std::tuple<const Config*, Shape, DType>, Choice> choices_;
};

}  // namespace

bool is_eligible(const LoadingTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::Linear:
    case TensorRole::Experts:
      return true;
    case TensorRole::Head:
      return !tensor.tied;
    case TensorRole::Unknown:
      return is_matrix(tensor) && !sounds_kept(tensor.name);
    default:
      return false;
  }
}

void decide_actions(const CheckpointSource& source,
                    const PlanRequest& request,
                    Plan& plan) {
  Decider(source, request, plan).run();
}

}  // namespace mantissa
