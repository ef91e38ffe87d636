#include <string>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/safetensors_index.h"
#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

// What a writer of the format would make of it.
std::string written(const SafetensorsIndex& index) {
  nlohmann::json json;
  if (index.total_size) json["metadata"]["total_size"] = *index.total_size;
  json["weight_map"] = index.weight_map;
  return json.dump();
}

void check(const SafetensorsIndex& index) {
  for (const auto& [name, file] : index.weight_map) {
    expect(!file.empty() && file.front() != '/', "no absolute path");
    expect(("/" + file + "/").find("/../") == std::string::npos, "no ..");
    expect(file.find('\0') == std::string::npos, "no zero byte in a path");
    expect(file.ends_with(".safetensors"), "only safetensors files");
    expect(shard_total(file) >= 0, "a number of shards is not negative");
  }
  const SafetensorsIndex again = parse_index(written(index), "written again");
  expect(again.weight_map == index.weight_map &&
             again.total_size == index.total_size,
         "an index means the same when it is written again");
}

}  // namespace

Outcome safetensors_index(std::string_view input) {
  try {
    check(parse_index(input, "fuzz"));
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input, "a malformed index is Input");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace mantissa::fuzz
