#include <fmt/format.h>
#include <fmt/ranges.h>

#include "checkpoint/inspect.h"

namespace mantissa {

std::vector<NameGroup> group_tensors(
    const std::vector<LogicalTensor>& tensors) {
  std::vector<NamedKind> names;
  for (const LogicalTensor& tensor : tensors) {
    names.push_back({tensor.name,
                     fmt::format("{}\n{}\n{}",
                                 tensor.stored,
                                 fmt::join(tensor.shape, ","),
                                 tensor.bytes)});
  }
  return group_names(names);
}

}  // namespace mantissa
