#pragma once

#include <cstdint>

#include "checkpoint/plan.h"

namespace mantissa {

/// Most memory that a run of the plan takes, in bytes: 64 MiB, 16 MiB a worker,
/// 2 KiB a tensor (product.md R5), and for as many tensors as there are workers
/// what is kept of the largest ones: scales between the passes of an encoder
/// (HQQ), rows above 1 MiB.
std::int64_t memory_bound(const Plan& plan, int workers);

/// Adds a problem (Resources) when memory_bound() is above the request's
/// max_memory; it says what takes it and what would fit.
void require_memory(const PlanRequest& request, Plan& plan);

}  // namespace mantissa
