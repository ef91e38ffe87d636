#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <mantissa/core/error.h>

#include "kernels/caps.h"

namespace mantissa::kernels {

/// The kernel that MANTISSA_KERNEL=op=name[,op=name...] forces for `op`, or "".
std::string forced_kernel(const char* op);

/// Checks a value of MANTISSA_KERNEL ("" forces nothing) as a whole: the form,
/// the operators, their kernels, and that a machine with `caps` runs them.
/// Throws Error(Usage) with what there is.
void check_forced_kernels(const std::string& value, const Caps& caps);

/// Checks MANTISSA_CPU and MANTISSA_KERNEL of this process before work begins.
/// Throws Error(Usage) with the valid values.
void check_environment();

/// Throws Error(Usage): MANTISSA_KERNEL names no row of the operator, or one
/// that this machine cannot run.
[[noreturn]] void refuse_unknown_kernel(const std::string& op,
                                        const std::string& name,
                                        const std::vector<std::string>& names);
[[noreturn]] void refuse_forced_kernel(const std::string& op,
                                       const std::string& name,
                                       const std::string& reason);

/// The first row of an operator's table that accepts the problem on these caps;
/// a row has `name`, `refuses(problem, caps)` (null, or the reason) and `run`.
/// The reference is last and accepts every legal problem. A row that
/// MANTISSA_KERNEL names is the first to be asked: where the problem is what it
/// refuses, the rows below it follow. Throws Error(Usage) when the row is
/// unknown, or when it would accept the problem on another machine.
template <class Kernel, class Problem>
const Kernel& select(const char* op,
                     std::span<const Kernel> table,
                     const Problem& problem,
                     const Caps& caps) {
  const std::string forced = forced_kernel(op);
  auto row = table.begin();
  if (!forced.empty()) {
    row = std::ranges::find(table, forced, &Kernel::name);
    if (row == table.end()) {
      std::vector<std::string> names;
      for (const Kernel& kernel : table) names.push_back(kernel.name);
      refuse_unknown_kernel(op, forced, names);
    }
    const char* reason = row->refuses(problem, caps);
    if (reason != nullptr && row->refuses(problem, kEveryCap) == nullptr) {
      refuse_forced_kernel(op, forced, reason);
    }
  }
  while (row->refuses(problem, caps) != nullptr) ++row;
  return *row;
}

/// One line of `mantissa kernels`: op, name, and why it cannot run here.
struct KernelInfo {
  std::string op;
  std::string name;
  std::string refusal;  ///< "" when usable on this machine
};

/// Rows of a table as KernelInfo, with a default problem.
template <class Kernel, class Problem>
void list_kernels(const char* op,
                  std::span<const Kernel> table,
                  const Problem& problem,
                  const Caps& caps,
                  std::vector<KernelInfo>& out) {
  for (const Kernel& kernel : table) {
    const char* reason = kernel.refuses(problem, caps);
    out.push_back({op, kernel.name, reason == nullptr ? "" : reason});
  }
}

/// Every kernel of every operator, from the tables (src/kernels/list.cpp).
std::vector<KernelInfo> all_kernels(const Caps& caps);

}  // namespace mantissa::kernels
