#include "support/yardstick.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/cpu_clock.h"

namespace mantissa::support {
namespace {

constexpr double kUsualSeconds = 0.27;  // derived, not timed: see the header

std::string document() {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) {
    text += (i > 0 ? ",\"model.layers." : "\"model.layers.") +
            std::to_string(i / 9) + ".self_attn.projection_" +
            std::to_string(i % 9) +
            ".weight\":{\"dtype\":\"BF16\",\"shape\":[32,32],"
            "\"data_offsets\":[" +
            std::to_string(i * 2048) + "," + std::to_string((i + 1) * 2048) +
            "]}";
  }
  return text + "}";
}

std::size_t work(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  std::unordered_map<std::string, std::size_t> names;
  for (const auto& [name, entry] : json.items()) {
    names.emplace(name, entry.at("data_offsets").at(1).get<std::size_t>());
  }
  std::vector<std::string> sorted;
  for (const auto& [name, end] : names) sorted.push_back(name);
  std::ranges::sort(sorted, std::ranges::greater{});
  return names.at(sorted.front());
}

}  // namespace

double slowness() {
  static const std::string text = document();
  const auto before = CpuClock::now();
  if (work(text) == 0) return 1;
  const std::chrono::duration<double> used = CpuClock::now() - before;
  return std::max(1.0, used.count() / kUsualSeconds);
}

}  // namespace mantissa::support
