#include "checkpoint/diff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/decibel.h"

namespace mantissa {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Sums over pairs of values, in order.
class Accumulator {
 public:
  void add(double a, double b) {
    const std::int64_t at = at_++;
    const bool same = a == b || (std::isnan(a) && std::isnan(b));
    if (same && !std::isfinite(a)) return;
    if (!same) ++diff_.differing;
    const double error = std::abs(a - b);
    if (!std::isfinite(error)) {
      ++diff_.nonfinite;
      return;
    }
    diff_.signal += a * a;
    diff_.noise += error * error;
    dot_ += a * b;
    square_b_ += b * b;
    if (error > diff_.max_error) {
      diff_.max_error = error;
      diff_.max_at = at;
    }
  }

  TensorDiff finish() {
    diff_.values = at_;
    const double norms = std::sqrt(diff_.signal) * std::sqrt(square_b_);
    // Two zero vectors point the same way; a zero and another one do not.
    diff_.cosine = diff_.differing == 0 ? 1 : norms == 0 ? 0 : dot_ / norms;
    return diff_;
  }

 private:
  TensorDiff diff_;
  std::int64_t at_ = 0;
  double dot_ = 0;
  double square_b_ = 0;
};

TensorDiff compare(const LogicalCheckpoint& a,
                   const LogicalTensor& x,
                   const LogicalCheckpoint& b,
                   const LogicalTensor& y) {
  const auto read_x = a.reader(x);
  const auto read_y = b.reader(y);
  const std::int64_t width = row_shape(x.shape).width;
  std::vector<double> left;
  std::vector<double> right;
  Accumulator sums;
  for_each_row_block(x.shape, [&](std::int64_t row, std::int64_t rows) {
    left.resize(static_cast<std::size_t>(rows * width));
    right.resize(left.size());
    read_x->read(row, rows, left);
    read_y->read(row, rows, right);
    for (std::size_t i = 0; i < left.size(); ++i) sums.add(left[i], right[i]);
  });
  TensorDiff diff = sums.finish();
  diff.name = x.name;
  diff.stored_a = x.stored;
  diff.stored_b = y.stored;
  diff.floating = is_floating_point(x.dtype) && is_floating_point(y.dtype);
  return diff;
}

// A head that is tied on both sides is the embedding again.
bool skips(const LogicalTensor& x, const LogicalTensor* y) {
  return x.tied && (y == nullptr || y->tied);
}

struct Pair {
  const LogicalTensor* a;
  const LogicalTensor* b;
};

std::vector<Pair> match(const LogicalCheckpoint& a,
                        const LogicalCheckpoint& b,
                        DiffReport& report) {
  std::vector<Pair> pairs;
  for (const LogicalTensor& x : a.tensors()) {
    const LogicalTensor* y = b.find(x.name);
    if (skips(x, y)) continue;
    if (y == nullptr) {
      report.only_a.push_back(x.name);
    } else if (x.shape != y->shape) {
      report.incomparable.push_back(
          {x.name,
           fmt::format(
               "shapes {} and {}", to_string(x.shape), to_string(y->shape))});
    } else {
      pairs.push_back({&x, y});
    }
  }
  for (const LogicalTensor& y : b.tensors()) {
    if (!y.tied && a.find(y.name) == nullptr) report.only_b.push_back(y.name);
  }
  return pairs;
}

}  // namespace

double TensorDiff::sqnr() const {
  return nonfinite > 0 ? -kInfinity : decibel(signal, noise);
}

std::int64_t DiffReport::equal() const {
  return std::ranges::count(tensors, 0, &TensorDiff::differing);
}

double DiffReport::total_sqnr() const {
  double signal = 0;
  double noise = 0;
  for (const TensorDiff& tensor : tensors) {
    if (!tensor.floating) continue;
    if (tensor.nonfinite > 0) return -kInfinity;
    signal += tensor.signal;
    noise += tensor.noise;
  }
  return decibel(signal, noise);
}

DiffReport diff(const LogicalCheckpoint& a,
                const LogicalCheckpoint& b,
                int workers) {
  for (const LogicalCheckpoint* side : {&a, &b}) {
    if (side->quantized() != nullptr) side->quantized()->require_sound();
  }
  DiffReport report;
  const std::vector<Pair> pairs = match(a, b, report);
  std::vector<std::variant<TensorDiff, Incomparable>> results(pairs.size());
  WorkerPool pool(workers);
  pool.run(static_cast<std::int64_t>(pairs.size()),
           [&](std::int64_t index, int) {
             const auto i = static_cast<std::size_t>(index);
             try {
               results[i] = compare(a, *pairs[i].a, b, *pairs[i].b);
             } catch (const Error& error) {
               if (error.kind() != ErrorKind::Usage) throw;
               results[i] = Incomparable{pairs[i].a->name, error.what()};
             }
           });
  for (auto& result : results) {
    if (auto* tensor = std::get_if<TensorDiff>(&result)) {
      report.tensors.push_back(std::move(*tensor));
    } else {
      report.incomparable.push_back(std::get<Incomparable>(std::move(result)));
    }
  }
  std::ranges::stable_sort(report.tensors, {}, &TensorDiff::sqnr);
  return report;
}

}  // namespace mantissa
