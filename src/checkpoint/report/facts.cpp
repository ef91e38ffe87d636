#include "checkpoint/report/facts.h"
#include "checkpoint/bounded_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/hash.h"
#include "checkpoint/plan_totals.h"

namespace mantissa::report {
namespace {

// In the order in which a reader meets them in a model.
constexpr const char* kKinds[] = {
    "Embedding",
    "Attention",
    "MLP",
    "Experts",
    "Router",
    "Other linear",
    "Norm",
    "Bias",
    "Head",
    "Other",
};

bool has_any(std::string_view name, std::initializer_list<const char*> words) {
  return std::ranges::any_of(words, [&](const char* word) {
    return name.find(word) != std::string_view::npos;
  });
}

std::string kind_of(const LoadingTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::Embedding:
      return "Embedding";
    case TensorRole::Experts:
      return "Experts";
    case TensorRole::Router:
      return "Router";
    case TensorRole::Norm:
      return "Norm";
    case TensorRole::Bias:
      return "Bias";
    case TensorRole::Head:
      return "Head";
    case TensorRole::Linear:
      if (has_any(tensor.name, {"attn", "attention"})) return "Attention";
      if (has_any(tensor.name,
                  {"mlp", "ffn", "feed_forward", "intermediate", "output."})) {
        return "MLP";
      }
      return "Other linear";
    default:
      return "Other";
  }
}

bool is_number(std::string_view part) {
  return !part.empty() && part.size() <= 6 &&
         part.find_first_not_of("0123456789") == part.npos;
}

std::vector<KindSize> sizes_by_kind(const Plan& plan) {
  std::vector<KindSize> sizes;
  for (const char* kind : kKinds) sizes.push_back({kind});
  for (const PlannedTensor& planned : plan.tensors) {
    const std::string kind = kind_of(planned.tensor);
    const auto row = std::ranges::find(sizes, kind, &KindSize::kind);
    ++row->tensors;
    row->source_bytes += planned.source_bytes;
    row->output_bytes += output_bytes(planned);
  }
  std::erase_if(sizes, [](const KindSize& row) { return row.tensors == 0; });
  return sizes;
}

std::string quantization_config_of(const Plan& plan) {
  for (const TextFile& text : plan.texts) {
    if (text.name != "config.json") continue;
    const auto config = parse_bounded_json(text.text);
    if (config && config->is_object() &&
        config->contains("quantization_config")) {
      return config->at("quantization_config").dump(2);
    }
  }
  return "";
}

}  // namespace

Place place_of(const LoadingTensor& tensor) {
  Place place;
  place.kind = kind_of(tensor);
  std::string_view rest = tensor.name;
  std::string before;
  while (!rest.empty()) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    if (!is_number(part)) {
      before += fmt::format("{}{}", before.empty() ? "" : ".", part);
    } else if (place.layer < 0) {
      std::from_chars(part.data(), part.data() + part.size(), place.layer);
      before.clear();
    } else {
      before += ".#";
    }
    rest = dot == rest.npos ? "" : rest.substr(dot + 1);
  }
  if (before.ends_with(".weight")) before.resize(before.size() - 7);
  place.module = before;
  return place;
}

std::optional<WorstMatrix> worst_matrix(const TensorResult& result) {
  std::optional<WorstMatrix> worst;
  for (std::size_t i = 0; i < result.errors.size(); ++i) {
    const double sqnr = result.errors[i].sqnr();
    if (!worst || sqnr < worst->sqnr) worst = {i, sqnr};
  }
  return worst;
}

std::string hash_outputs(const Plan& plan, const RunResult& result) {
  Hash128 hash;
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    const auto& hashes = result.tensors[t].xxh3;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      if (i < plan.tensors[t].outputs.size()) {
        hash.add(plan.tensors[t].outputs[i].name);
      }
      hash.add(fmt::format("{:016x}", hashes[i]));
    }
  }
  return hash.hex();
}

Facts gather_facts(const Plan& plan, const RunResult& result) {
  if (plan.tensors.size() != result.tensors.size()) {
    throw Error(ErrorKind::Unexpected,
                fmt::format("report: expected {} results (= tensors of the "
                            "plan), got {}",
                            plan.tensors.size(),
                            result.tensors.size()));
  }
  Facts facts;
  facts.kinds = sizes_by_kind(plan);
  for (std::size_t i = 0; i < result.tensors.size(); ++i) {
    const TensorResult& tensor = result.tensors[i];
    const ErrorSums total = tensor.total();
    facts.total.add(total);
    facts.scales.add(tensor.scales);
    facts.crests.add(tensor.crests);
    if (const auto worst = worst_matrix(tensor)) {
      facts.measured.push_back({i, total.sqnr(), *worst});
    }
  }
  std::ranges::stable_sort(
      facts.measured, {}, [](const Measured& m) { return m.worst.sqnr; });
  facts.outputs_xxh3 = hash_outputs(plan, result);
  facts.quantization_config = quantization_config_of(plan);
  return facts;
}

std::string spell_db(double sqnr) {
  if (std::isinf(sqnr)) return sqnr > 0 ? "inf" : "-inf";
  return fmt::format("{:.2f}", sqnr);
}

}  // namespace mantissa::report
