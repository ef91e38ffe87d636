#pragma once

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

/// The first row of an operator's table that accepts the problem on these caps;
/// a row has `name`, `refuses(problem, caps)` (null, or the reason) and `run`.
/// The reference is last and accepts every legal problem. Throws Error(Usage)
/// when MANTISSA_KERNEL names an unknown row or one that refuses.
template <class Kernel, class Problem>
const Kernel& select(const char* op,
                     std::span<const Kernel> table,
                     const Problem& problem,
                     const Caps& caps) {
  const std::string forced = forced_kernel(op);
  std::string names;
  for (const Kernel& kernel : table) {
    if (!forced.empty() && forced != kernel.name) {
      names += std::string(names.empty() ? "" : ", ") + kernel.name;
      continue;
    }
    const char* reason = kernel.refuses(problem, caps);
    if (reason == nullptr) return kernel;
    if (!forced.empty()) {
      throw Error(ErrorKind::Usage,
                  std::string("MANTISSA_KERNEL: ") + op + ": " + kernel.name +
                      " refuses: " + reason);
    }
  }
  throw Error(ErrorKind::Usage,
              std::string("MANTISSA_KERNEL: ") + op + " has no kernel '" +
                  forced + "'; there are: " + names);
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
