#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/torch/generation.h>

#include "checkpoint/bounded_json.h"
#include "torch/models/companion_files.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::int64_t> read_ids(const std::string& text,
                                   const std::string& label) {
  const Json json = parse_config_object(text, label);
  const auto value = json.find("eos_token_id");
  if (value == json.end() || value->is_null()) return {};
  std::vector<std::int64_t> out;
  const auto take = [&](const Json& item) {
    if (!item.is_number_integer()) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: eos_token_id: expected an integer or a list "
                              "of integers",
                              label));
    }
    out.push_back(item.get<std::int64_t>());
  };
  if (value->is_array()) {
    for (const Json& item : *value) take(item);
  } else {
    take(*value);
  }
  return out;
}

}  // namespace

std::vector<std::int64_t> stop_tokens_of(const CheckpointSource& source) {
  constexpr const char* kName = "generation_config.json";
  if (const auto text = companion_text(source, kName)) {
    if (auto ids = read_ids(*text, kName); !ids.empty()) return ids;
  }
  if (source.config_json().empty()) return {};
  return read_ids(source.config_json(), "config.json");
}

}  // namespace mantissa
