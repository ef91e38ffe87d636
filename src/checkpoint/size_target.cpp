#include "checkpoint/size_target.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/bit_allocation.h"
#include "checkpoint/dialects/compressed_tensors.h"
#include "checkpoint/plan_decisions.h"
#include "checkpoint/plan_totals.h"
#include "checkpoint/weight_sensitivity.h"
#include "kernels/error_sums.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

// Enough groups that a mean over them is known to a few percent; fewer where
// there are very many tensors.
constexpr std::int64_t kSampledWeights = std::int64_t{1} << 15;
constexpr std::int64_t kLeastSampled = std::int64_t{1} << 13;
constexpr std::int64_t kSampledInAll = std::int64_t{1} << 25;
constexpr std::int64_t kLeastRows = 4;

// How often a budget is taken up again after it was too large, until the rest
// is not worth a round.
constexpr int kRefinements = 6;
constexpr double kWorthARound = 0.002;

struct SizeOption {
  std::string words;  ///< as --tensor-type takes it
  ConfigPtr config;
};

// 2 to 8 bits in groups; the search for scales gains most where bits are few.
std::vector<SizeOption> compressed_options() {
  std::vector<SizeOption> out;
  for (int bits = 2; bits <= 8; ++bits) {
    for (const char* zero_points : {"", "_ASYM"}) {
      for (const int group : {32, 64, 128}) {
        std::string words = fmt::format(
            "W{}A16{}:group_size={},observer=mse", bits, zero_points, group);
        ConfigPtr config = parse_compressed_scheme(words);
        out.push_back({std::move(words), std::move(config)});
      }
    }
  }
  return out;
}

std::vector<SizeOption> torchao_options() {
  std::vector<SizeOption> out;
  for (const char* words : {"int4_weight_only:group_size=32",
                            "int4_weight_only:group_size=64",
                            "int4_weight_only:group_size=128",
                            "int8_weight_only"}) {
    out.push_back({words, parse_config(words).config});
  }
  return out;
}

bool stores_embeddings(const PlanRequest& request) {
  return request.dialect == &compressed_tensors_dialect();
}

// One weight whose bits are to be chosen.
struct Candidate {
  const PlannedTensor* planned = nullptr;
  double sensitivity = 0;
  std::vector<std::size_t> formats;  ///< indices of the options that it takes
  std::vector<BitOption> options;    ///< of each, bytes and cost
  std::vector<double> errors;        ///< of each, relative squared error
};

// The rows that stand for a tensor: evenly spaced over all its matrices.
HostTensor sampled_rows(const CheckpointSource& source,
                        const LoadingTensor& tensor,
                        std::int64_t weights) {
  const std::int64_t columns = tensor.shape.back();
  std::int64_t all = 0;
  for (const Piece& piece : tensor.pieces) {
    all += numel(source.tensors()[piece.source].shape) / columns;
  }
  const std::int64_t rows =
      std::min(all, std::max(kLeastRows, weights / columns));
  HostTensor out(tensor.dtype, {rows, columns});
  const auto row_bytes =
      static_cast<std::size_t>(byte_count(tensor.dtype, {columns}));
  std::size_t piece = 0;
  std::int64_t before = 0;  // rows of the pieces before this one
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t row = i * all / rows;
    std::size_t index = tensor.pieces[piece].source;
    std::int64_t held = numel(source.tensors()[index].shape) / columns;
    while (row >= before + held) {
      before += held;
      index = tensor.pieces[++piece].source;
      held = numel(source.tensors()[index].shape) / columns;
    }
    source.read_rows(
        index,
        row - before,
        1,
        {out.data() + static_cast<std::size_t>(i) * row_bytes, row_bytes});
  }
  return out;
}

// Values that no format holds are refused when they are written; here they
// must not hide the error of the rest.
void clear_nonfinite(HostTensor& values) {
  for (std::int64_t i = 0; i < values.view().numel(); ++i) {
    if (std::isfinite(load_element(values.view(), i))) continue;
    store_element(values, i, 0.0f);
  }
}

// Squared error of what decode() gives, divided by the squared weights.
double relative_error(const HostTensor& weight, const HostTensor& decoded) {
  const Shape& shape = weight.shape();
  std::vector<kernels::RowErrorSums> sums(static_cast<std::size_t>(shape[0]));
  kernels::error_sums(weight.dtype(),
                      {.x = weight.data(),
                       .y = decoded.data(),
                       .rows = shape[0],
                       .columns = shape[1],
                       .sums = sums.data()});
  double signal = 0;
  double noise = 0;
  for (const kernels::RowErrorSums& row : sums) {
    signal += row.signal;
    noise += row.noise;
  }
  return signal > 0 ? noise / signal : 0;
}

class Chooser {
 public:
  Chooser(const CheckpointSource& source,
          const SizeTarget& target,
          int workers,
          PlanRequest& request)
      : source_(source),
        target_(target),
        workers_(workers),
        request_(request),
        formats_(stores_embeddings(request) ? compressed_options()
                                            : torchao_options()) {}

  Plan run() {
    request_.chosen.clear();
    request_.unchosen = nullptr;
    Plan plain = make_plan(source_, request_);
    if (!plain.problems.empty()) return plain;
    request_.unchosen = formats_.back().config;
    collect(plain);
    if (candidates_.empty()) {
      Plan kept = make_plan(source_, request_);
      if (kept.problems.empty()) {
        kept.problems.push_back(
            {ErrorKind::Usage,
             target_.words + ": no rule leaves a weight whose bits could be "
                             "chosen"});
      }
      return kept;
    }
    measure();
    return fit(plain, bytes_of(plain));
  }

 private:
  void collect(const Plan& plain) {
    const std::vector<double> sensitivities =
        weight_sensitivities(plain.tensors);
    for (std::size_t i = 0; i < plain.tensors.size(); ++i) {
      if (!is_open(plain.tensors[i])) continue;
      Candidate candidate;
      candidate.planned = &plain.tensors[i];
      candidate.sensitivity = sensitivities[i];
      const LoadingTensor& tensor = candidate.planned->tensor;
      for (std::size_t f = 0; f < formats_.size(); ++f) {
        const auto encoding = encoding_of(f, tensor.shape, tensor.dtype);
        if (encoding == nullptr) continue;
        candidate.formats.push_back(f);
        candidate.options.push_back({stored_bytes(*encoding), 0});
      }
      if (!candidate.formats.empty()) {
        candidates_.push_back(std::move(candidate));
      }
    }
  }

  // True for a weight that no rule names and that may change.
  bool is_open(const PlannedTensor& planned) const {
    const LoadingTensor& tensor = planned.tensor;
    if (!planned.rule.empty() || is_encoded(planned) || tensor.tied ||
        numel(tensor.shape) == 0 || !is_matrix(tensor) ||
        request_.nonfinite.count(tensor.name) > 0) {
      return false;
    }
    if (tensor.role == TensorRole::Embedding)
      return stores_embeddings(request_);
    if (tensor.role == TensorRole::Unknown && !request_.allow_unknown_names) {
      return false;
    }
    return is_eligible(tensor);
  }

  std::shared_ptr<const Encoding> encoding_of(std::size_t format,
                                              const Shape& shape,
                                              DType dtype) const {
    WeightChoice choice = formats_[format].config->choose(shape, dtype);
    return request_.dialect->stored_form(std::move(choice)).encoding;
  }

  void measure() {
    const auto count = static_cast<std::int64_t>(candidates_.size());
    const std::int64_t weights =
        std::clamp(kSampledInAll / count, kLeastSampled, kSampledWeights);
    WorkerPool(workers_).run(count, [&](std::int64_t index, int) {
      measure(candidates_[static_cast<std::size_t>(index)], weights);
    });
  }

  // Leaves the formats that hold the values, with what they cost.
  void measure(Candidate& candidate, std::int64_t weights) const {
    const LoadingTensor& tensor = candidate.planned->tensor;
    HostTensor rows = sampled_rows(source_, tensor, weights);
    clear_nonfinite(rows);
    Candidate held;
    std::string refusal;
    for (std::size_t i = 0; i < candidate.formats.size(); ++i) {
      const std::size_t format = candidate.formats[i];
      const auto encoding = encoding_of(format, rows.shape(), tensor.dtype);
      double error = 0;
      try {
        error = relative_error(rows, encode(encoding, rows.view()).decode());
      } catch (const Error& refused) {
        refusal = refused.what();
        continue;
      }
      if (!std::isfinite(error)) continue;
      held.formats.push_back(format);
      held.errors.push_back(error);
      held.options.push_back(
          {candidate.options[i].bytes, candidate.sensitivity * error});
    }
    if (held.formats.empty()) {
      throw Error(ErrorKind::Usage,
                  fmt::format("{}: {}: no format holds its values; --ignore "
                              "keeps it ({})",
                              target_.words,
                              tensor.name,
                              refusal));
    }
    candidate.formats = std::move(held.formats);
    candidate.errors = std::move(held.errors);
    candidate.options = std::move(held.options);
  }

  std::int64_t bytes_of(const Plan& plain) const {
    if (target_.bytes > 0) return target_.bytes;
    double weights = 0;
    for (const PlannedTensor& planned : plain.tensors) {
      if (planned.tensor.tied) continue;
      weights += static_cast<double>(numel(planned.tensor.shape));
    }
    return static_cast<std::int64_t>(weights * target_.bits_per_weight / 8);
  }

  std::vector<std::vector<BitOption>> options() const {
    std::vector<std::vector<BitOption>> out;
    for (const Candidate& one : candidates_) out.push_back(one.options);
    return out;
  }

  // Chooses within what the other tensors leave, and again with less while the
  // files come out too large: headers grow with what is chosen.
  Plan fit(const Plan& plain, std::int64_t bytes) {
    const std::vector<std::vector<BitOption>> options = this->options();
    std::int64_t budget = bytes - plain.output_bytes;
    for (const Candidate& one : candidates_) {
      budget += output_bytes(*one.planned);
    }
    const std::int64_t least = least_bytes(options);
    std::int64_t too_much = 0;  // a budget whose files were too large
    while (true) {
      Plan plan =
          plan_with(allocate_bits(options, std::max(budget, least)), bytes);
      if (!plan.problems.empty()) return plan;
      if (plan.output_bytes <= bytes) {
        return refined(
            std::move(plan), options, std::max(budget, least), too_much);
      }
      if (budget <= least) {
        refuse(plan);
        return plan;
      }
      too_much = budget;
      budget -= plan.output_bytes - bytes;
    }
  }

  // `plan` is that of the budget `fits`, below `too_much`: where its files
  // became smaller than they needed to be (a shard less saves a header), the
  // budget goes back up by halves.
  Plan refined(Plan plan,
               const std::vector<std::vector<BitOption>>& options,
               std::int64_t fits,
               std::int64_t too_much) {
    const std::int64_t bytes = plan.size->bytes;
    for (int round = 0; round < kRefinements; ++round) {
      const auto left = static_cast<double>(bytes - plan.output_bytes);
      if (left < kWorthARound * static_cast<double>(bytes)) break;
      if (too_much - fits < 2) break;
      const std::int64_t budget = fits + (too_much - fits) / 2;
      auto chosen = request_.chosen;
      Plan next = plan_with(allocate_bits(options, budget), bytes);
      if (next.output_bytes > bytes) {
        request_.chosen = std::move(chosen);
        too_much = budget;
        continue;
      }
      fits = budget;
      plan = std::move(next);
    }
    return plan;
  }

  void refuse(Plan& plan) const {
    plan.problems.push_back(
        {ErrorKind::Usage,
         fmt::format(
             "{}: the smallest formats that can be chosen take {} bytes "
             "({:.1f} MB) with what stays as it is; ask for that or more",
             target_.words,
             plan.output_bytes,
             std::ceil(static_cast<double>(plan.output_bytes) / 1e5) / 10)});
  }

  Plan plan_with(const std::vector<std::size_t>& picks, std::int64_t bytes) {
    SizeOutcome outcome{target_.words, bytes, 0};
    request_.chosen.clear();
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& one = candidates_[i];
      const SizeOption& format = formats_[one.formats[picks[i]]];
      outcome.divergence += one.options[picks[i]].cost;
      request_.chosen[one.planned->tensor.name] = {
          format.words, format.config, one.errors[picks[i]]};
    }
    Plan plan = make_plan(source_, request_);
    plan.size = std::move(outcome);
    return plan;
  }

  const CheckpointSource& source_;
  const SizeTarget& target_;
  int workers_;
  PlanRequest& request_;
  const std::vector<SizeOption> formats_;
  std::vector<Candidate> candidates_;
};

}  // namespace

Plan make_plan_within(const CheckpointSource& source,
                      const SizeTarget& target,
                      int workers,
                      PlanRequest& request) {
  return Chooser(source, target, workers, request).run();
}

}  // namespace mantissa
