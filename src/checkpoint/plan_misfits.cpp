#include "checkpoint/plan_misfits.h"

#include <fmt/format.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::size_t kNamesShown = 3;

// "a, b, c and 7 more".
std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    out += (i > 0 ? ", " : "") + printable(names[i]);
  }
  if (names.size() > kNamesShown) {
    out += fmt::format(" and {} more", names.size() - kNamesShown);
  }
  return out;
}

}  // namespace

void PlanMisfits::add(ErrorKind kind,
                      const std::string& name,
                      const std::string& refusal,
                      const std::string& remedy) {
  for (Misfit& known : misfits_) {
    if (known.kind == kind && known.refusal == refusal) {
      known.names.push_back(name);
      return;
    }
  }
  misfits_.push_back({kind, refusal, remedy, {name}});
}

void PlanMisfits::caution(const std::string& name, const std::string& caution) {
  cautions_[caution].push_back(name);
}

void PlanMisfits::report(Plan& plan) const {
  for (const Misfit& misfit : misfits_) {
    std::string remedy = misfit.remedy;
    if (misfit.kind == ErrorKind::Skipped) {
      remedy += remedy.empty() ? "" : "; or ";
      remedy += "--allow-skipped keeps them unquantized";
    }
    plan.problems.push_back({misfit.kind,
                             fmt::format("{}: {}{}{}",
                                         listed(misfit.names),
                                         misfit.refusal,
                                         remedy.empty() ? "" : ". Remedy: ",
                                         remedy)});
  }
  for (const auto& [caution, names] : cautions_) {
    plan.warnings.push_back(fmt::format("{}: {}", listed(names), caution));
  }
}

}  // namespace mantissa
