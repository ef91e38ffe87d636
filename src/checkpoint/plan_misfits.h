#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/plan.h"

namespace mantissa {

/// Tensors that cannot be quantized as asked, or only with a warning. Those
/// with the same words are told at once, with the first names.
class PlanMisfits {
 public:
  /// `remedy` may be empty.
  void add(ErrorKind kind,
           const std::string& name,
           const std::string& refusal,
           const std::string& remedy);
  /// A warning about a tensor that is quantized all the same.
  void caution(const std::string& name, const std::string& caution);
  /// Adds the problems and warnings to the plan.
  void report(Plan& plan) const;

 private:
  struct Misfit {
    ErrorKind kind;
    std::string refusal;
    std::string remedy;
    std::vector<std::string> names;
  };

  std::vector<Misfit> misfits_;
  std::map<std::string, std::vector<std::string>> cautions_;  // names of each
};

}  // namespace mantissa
