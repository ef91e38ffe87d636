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

// Enough groups that a mean over them is known to a few percent.
constexpr std::int64_t kSampledWeights = std::int64_t{1} << 15;
constexpr std::int64_t kLeastRows = 16;

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
  std::vector<std::size_t> formats;  ///< indices of the options that it takes
  std::vector<BitOption> options;    ///< of each, bytes and cost
  std::vector<double> errors;        ///< of each, relative squared error
};

// The rows that stand for a tensor: evenly spaced over all its matrices.
HostTensor sampled_rows(const CheckpointSource& source,
                        const LoadingTensor& tensor) {
  const std::int64_t columns = tensor.shape.back();
  std::int64_t all = 0;
  for (const Piece& piece : tensor.pieces) {
    all += numel(source.tensors()[piece.source].shape) / columns;
  }
  const std::int64_t rows =
      std::min(all, std::max(kLeastRows, kSampledWeights / columns));
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
    const Plan plain = make_plan(source_, request_);
    require_runnable(plain);
    collect(plain);
    measure();
    return fit(plain, bytes_of(plain));
  }

 private:
  void collect(const Plan& plain) {
    for (const PlannedTensor& planned : plain.tensors) {
      const LoadingTensor& tensor = planned.tensor;
      const bool embedding = tensor.role == TensorRole::Embedding &&
                             stores_embeddings(request_) && is_matrix(tensor);
      if (!planned.rule.empty() || is_encoded(planned) || tensor.tied ||
          numel(tensor.shape) == 0 ||
          request_.nonfinite.count(tensor.name) > 0 ||
          !(is_eligible(tensor) || embedding)) {
        continue;
      }
      Candidate candidate;
      candidate.planned = &planned;
      for (std::size_t i = 0; i < formats_.size(); ++i) {
        const auto encoding = encoding_of(i, tensor.shape, tensor.dtype);
        if (encoding == nullptr) continue;
        candidate.formats.push_back(i);
        candidate.options.push_back({stored_bytes(*encoding), 0});
      }
      if (!candidate.formats.empty()) {
        candidates_.push_back(std::move(candidate));
      }
    }
    if (candidates_.empty()) {
      throw Error(ErrorKind::Usage,
                  target_.words +
                      ": there is no weight whose bits could be chosen; `plan` "
                      "with -c says why each tensor stays");
    }
  }

  std::shared_ptr<const Encoding> encoding_of(std::size_t format,
                                              const Shape& shape,
                                              DType dtype) const {
    WeightChoice choice = formats_[format].config->choose(shape, dtype);
    return request_.dialect->stored_form(std::move(choice)).encoding;
  }

  void measure() {
    std::vector<const LoadingTensor*> tensors;
    for (const Candidate& one : candidates_) {
      tensors.push_back(&one.planned->tensor);
    }
    const std::vector<double> sensitivities = weight_sensitivities(tensors);
    WorkerPool(workers_).run(static_cast<std::int64_t>(candidates_.size()),
                             [&](std::int64_t index, int) {
                               const auto i = static_cast<std::size_t>(index);
                               measure(candidates_[i], sensitivities[i]);
                             });
  }

  void measure(Candidate& candidate, double sensitivity) const {
    const LoadingTensor& tensor = candidate.planned->tensor;
    HostTensor rows = sampled_rows(source_, tensor);
    clear_nonfinite(rows);
    for (std::size_t i = 0; i < candidate.formats.size(); ++i) {
      const auto encoding =
          encoding_of(candidate.formats[i], rows.shape(), tensor.dtype);
      const double error =
          relative_error(rows, encode(encoding, rows.view()).decode());
      candidate.errors.push_back(error);
      candidate.options[i].cost = sensitivity * error;
    }
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
    while (true) {
      Plan plan =
          plan_with(allocate_bits(options, std::max(budget, least)), bytes);
      if (plan.output_bytes <= bytes) return plan;
      if (budget <= least) refuse(plan.output_bytes);
      budget -= plan.output_bytes - bytes;
    }
  }

  [[noreturn]] void refuse(std::int64_t smallest) const {
    throw Error(
        ErrorKind::Usage,
        fmt::format(
            "{}: the smallest formats that can be chosen take {} bytes "
            "({:.1f} MB) with what stays as it is; ask for that or more",
            target_.words,
            smallest,
            std::ceil(static_cast<double>(smallest) / 1e5) / 10));
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
    require_runnable(plan);
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
