#include "kernels/select.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

namespace mantissa::kernels {
namespace {

constexpr const char* kVariable = "MANTISSA_KERNEL";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, std::string(kVariable) + ": " + what);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    out += (out.empty() ? "" : ", ") + word;
  }
  return out;
}

std::vector<std::string> items_of(const std::string& value) {
  std::vector<std::string> items(1);
  for (const char c : value) {
    c == ',' ? void(items.emplace_back()) : items.back().push_back(c);
  }
  return items;
}

// The rows of each operator on these caps.
std::map<std::string, std::vector<KernelInfo>> tables(const Caps& caps) {
  std::map<std::string, std::vector<KernelInfo>> out;
  for (KernelInfo& row : all_kernels(caps)) out[row.op].push_back(row);
  return out;
}

}  // namespace

void refuse_unknown_kernel(const std::string& op,
                           const std::string& name,
                           const std::vector<std::string>& names) {
  refuse(op + " has no kernel '" + name + "'; there are: " + joined(names));
}

void refuse_forced_kernel(const std::string& op,
                          const std::string& name,
                          const std::string& reason) {
  refuse(op + ": " + name + " refuses here: " + reason);
}

void check_forced_kernels(const std::string& value, const Caps& caps) {
  if (value.empty()) return;
  const auto ops = tables(caps);
  std::vector<std::string> seen;
  for (const std::string& item : items_of(value)) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) {
      refuse("expected OP=NAME[,OP=NAME...], got '" + item +
             "'; `mantissa kernels` lists them");
    }
    const std::string op = item.substr(0, equals);
    const std::string name = item.substr(equals + 1);
    const auto table = ops.find(op);
    if (table == ops.end()) {
      std::vector<std::string> names;
      for (const auto& [known, rows] : ops) names.push_back(known);
      refuse("there is no operator '" + op + "'; there are: " + joined(names));
    }
    const auto& rows = table->second;
    const auto row = std::ranges::find(rows, name, &KernelInfo::name);
    if (row == rows.end()) {
      std::vector<std::string> names;
      for (const KernelInfo& each : rows) names.push_back(each.name);
      refuse_unknown_kernel(op, name, names);
    }
    if (!row->refusal.empty()) refuse_forced_kernel(op, name, row->refusal);
    if (std::ranges::find(seen, op) != seen.end()) {
      refuse("operator '" + op + "' stands in it twice");
    }
    seen.push_back(op);
  }
}

void check_environment() {
  const Caps& caps = host_caps();
  const char* value = std::getenv(kVariable);
  check_forced_kernels(value == nullptr ? "" : value, caps);
}

std::string forced_kernel(const char* op) {
  const char* variable = std::getenv(kVariable);
  if (variable == nullptr) return {};
  std::string_view rest = variable;
  const std::string key = std::string(op) + "=";
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    if (item.starts_with(key)) return std::string(item.substr(key.size()));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {};
}

}  // namespace mantissa::kernels
