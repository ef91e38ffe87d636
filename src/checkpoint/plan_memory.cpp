#include "checkpoint/plan_memory.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/formats/encoding.h>

#include "checkpoint/block_reader.h"
#include "core/quoted.h"
#include "core/spell_numbers.h"

namespace mantissa {
namespace {

constexpr std::int64_t kBase = std::int64_t{64} << 20;
constexpr std::int64_t kWorker = std::int64_t{16} << 20;
constexpr std::int64_t kTensor = std::int64_t{2} << 10;

// Rows as read, as encoded, decoded and on their way to the file.
constexpr std::int64_t kCopiesOfARow = 4;

// What one worker needs for this tensor beyond its 16 MiB.
std::int64_t extra_bytes(const PlannedTensor& planned) {
  const Shape& shape = planned.tensor.shape;
  const std::int64_t columns = shape.empty() ? 1 : shape.back();
  const std::int64_t row =
      numel(shape) == 0 ? 0 : byte_count(planned.tensor.dtype, {columns});
  const std::int64_t wide =
      row > BlockReader::kBlockBytes ? kCopiesOfARow * row : 0;
  const bool passes = planned.action == Action::Quantize;  // Carry makes none
  return wide + (passes ? planned.encoding->pass_bytes() : 0);
}

}  // namespace

std::int64_t memory_bound(const Plan& plan, int workers) {
  std::vector<std::int64_t> extra;
  extra.reserve(plan.tensors.size());
  for (const PlannedTensor& planned : plan.tensors) {
    extra.push_back(extra_bytes(planned));
  }
  const auto count = std::min(extra.size(), static_cast<std::size_t>(workers));
  const auto middle = extra.begin() + static_cast<std::ptrdiff_t>(count);
  std::ranges::partial_sort(extra, middle, std::ranges::greater{});
  std::int64_t bytes = kBase + kWorker * workers +
                       kTensor * static_cast<std::int64_t>(extra.size());
  for (auto it = extra.begin(); it != middle; ++it) bytes += *it;
  return bytes;
}

void require_memory(const PlanRequest& request, Plan& plan) {
  if (request.max_memory == 0 || plan.memory_bytes <= request.max_memory) {
    return;
  }
  std::string what =
      fmt::format("--max-memory {}: the run may take {} with {} worker{}",
                  format_bytes(request.max_memory),
                  format_bytes(plan.memory_bytes),
                  request.workers,
                  request.workers == 1 ? "" : "s");
  const auto most =
      std::ranges::max_element(plan.tensors, std::ranges::less{}, extra_bytes);
  if (most != plan.tensors.end() && extra_bytes(*most) > 0) {
    what += fmt::format(", of which {} are for {}",
                        format_bytes(extra_bytes(*most)),
                        printable(most->tensor.name));
  }
  const std::int64_t least = memory_bound(plan, 1);
  if (least <= request.max_memory) {
    what += fmt::format("; -j 1 takes at most {}", format_bytes(least));
  } else {
    what += fmt::format("; it needs at least {}", format_bytes(least));
  }
  plan.problems.push_back({ErrorKind::Resources, what});
}

}  // namespace mantissa
