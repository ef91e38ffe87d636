#include "checkpoint/journal_line.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/hash.h"
#include "checkpoint/input_file.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kLargestJournal = std::int64_t{1} << 32;
constexpr std::size_t kLongestLine = std::size_t{1} << 20;

Json histogram_json(const ExponentHistogram& histogram) {
  Json out = Json::array();
  out.push_back(histogram.zeros);
  for (std::size_t i = 0; i < histogram.bins.size(); ++i) {
    if (histogram.bins[i] != 0) out.push_back({i, histogram.bins[i]});
  }
  return out;
}

// get() would turn 1e300 into an integer too.
std::int64_t integer(const Json& json) {
  const auto number = whole_number(json);
  if (!number) throw Error(ErrorKind::Input, "not an integer");
  return *number;
}

ExponentHistogram parse_histogram(const Json& json) {
  ExponentHistogram out;
  out.zeros = integer(json.at(0));
  for (std::size_t i = 1; i < json.size(); ++i) {
    const std::int64_t bin = integer(json[i].at(0));
    out.bins.at(static_cast<std::size_t>(bin)) = integer(json[i].at(1));
  }
  return out;
}

Json errors_json(const std::vector<ErrorSums>& errors) {
  Json out = Json::array();
  for (const ErrorSums& e : errors) {
    out.push_back({e.signal, e.noise, e.max_error, e.values});
  }
  return out;
}

std::vector<ErrorSums> parse_errors(const Json& json) {
  std::vector<ErrorSums> out;
  for (const Json& e : json) {
    out.push_back({e.at(0).get<double>(),
                   e.at(1).get<double>(),
                   e.at(2).get<double>(),
                   integer(e.at(3))});
  }
  return out;
}

std::uint64_t parse_hash(const Json& json) {
  const auto hash = parse_hex64(json.get_ref<const std::string&>());
  if (!hash) throw Error(ErrorKind::Input, "not a hash");
  return *hash;
}

std::size_t matrices_of(const Plan& plan, const WorkUnit& unit) {
  if (!unit.whole()) return static_cast<std::size_t>(unit.matrices);
  const Shape& shape = plan.tensors[unit.tensor].tensor.shape;
  return static_cast<std::size_t>(matrix_shape(shape).matrices);
}

JournalEntry parse_entry(const Plan& plan,
                         const TensorIndex& index,
                         const Json& json) {
  const auto found =
      index.find(json.at("tensor").get_ref<const std::string&>());
  if (found == index.end()) throw Error(ErrorKind::Input, "unknown tensor");
  JournalEntry entry;
  entry.unit.tensor = found->second;
  if (json.contains("matrices")) {
    entry.unit.first_matrix = integer(json["matrices"].at(0));
    entry.unit.matrices = integer(json["matrices"].at(1));
  }
  const std::vector<WorkUnit> units = work_units(plan, found->second);
  if (std::ranges::find(units, entry.unit) == units.end()) {
    throw Error(ErrorKind::Input, "not a unit of the plan");
  }
  TensorResult& result = entry.result;
  for (const Json& hash : json.at("xxh3")) {
    result.xxh3.push_back(parse_hash(hash));
  }
  if (result.xxh3.size() != plan.tensors[found->second].outputs.size()) {
    throw Error(ErrorKind::Input, "hashes of other outputs");
  }
  result.source_xxh3 = parse_hash(json.at("source_xxh3"));
  result.errors = parse_errors(json.at("errors"));
  if (!result.errors.empty() &&
      result.errors.size() != matrices_of(plan, entry.unit)) {
    throw Error(ErrorKind::Input, "errors of other matrices");
  }
  result.scales = parse_histogram(json.at("scales"));
  result.crests = parse_histogram(json.at("crests"));
  result.max_weight = json.at("max_weight").get<double>();
  result.resumed = true;
  return entry;
}

// Explains a first line that is not the expected one.
[[noreturn]] void refuse(const std::filesystem::path& path,
                         const Json& found,
                         const Json& wanted) {
  const auto differs = [&](const char* key) {
    return found.value(key, Json()) != wanted.at(key);
  };
  std::string what = "was made from another plan";
  if (differs("schema_version") || differs("tool_version")) {
    what = "was written by another version of mantissa";
  } else if (differs("source_files") || differs("source_xxh3")) {
    what = "was made from another input, or the input has changed since";
  } else if (differs("config")) {
    what = "was made with another config";
  } else if (differs("plan_xxh3")) {
    what = "was made with other options";
  }
  throw Error(ErrorKind::Usage,
              path.parent_path().string() + " " + what +
                  "; --restart discards it and begins again");
}

}  // namespace

std::string journal_line(const Plan& plan, const JournalEntry& entry) {
  const TensorResult& result = entry.result;
  Json line = {{"tensor", plan.tensors[entry.unit.tensor].tensor.name}};
  if (!entry.unit.whole()) {
    line["matrices"] = {entry.unit.first_matrix, entry.unit.matrices};
  }
  Json hashes = Json::array();
  for (const std::uint64_t hash : result.xxh3) hashes.push_back(hex64(hash));
  line["xxh3"] = std::move(hashes);
  line["source_xxh3"] = hex64(result.source_xxh3);
  line["errors"] = errors_json(result.errors);
  line["scales"] = histogram_json(result.scales);
  line["crests"] = histogram_json(result.crests);
  line["max_weight"] = result.max_weight;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<JournalEntry> parse_journal_line(const Plan& plan,
                                               const TensorIndex& index,
                                               std::string_view line) {
  if (line.size() > kLongestLine) return {};
  const std::optional<Json> json = parse_bounded_json(line);
  if (!json || !json->is_object()) return {};
  try {
    return parse_entry(plan, index, *json);
  } catch (const Json::exception&) {
    return {};
  } catch (const std::out_of_range&) {
    return {};
  } catch (const Error&) {
    return {};
  }
}

std::optional<JournalContents> read_journal(const std::filesystem::path& path,
                                            const std::string& head,
                                            const Plan& plan) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  const std::string text = read_text(path, kLargestJournal);
  const std::size_t first = text.find('\n');
  if (first == std::string::npos) return {};
  const std::string_view found(text.data(), first + 1);
  if (found != head) {
    const Json json = parse_bounded_json(found).value_or(Json());
    refuse(path, json.is_object() ? json : Json::object(), Json::parse(head));
  }
  TensorIndex index;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    index.emplace(plan.tensors[i].tensor.name, i);
  }
  JournalContents contents;
  std::map<WorkUnit, std::size_t> places;  // the last line of a unit counts
  contents.bytes = static_cast<std::int64_t>(found.size());
  std::size_t begin = found.size();
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string_view line(text.data() + begin, end - begin);
    std::optional<JournalEntry> entry = parse_journal_line(plan, index, line);
    if (!entry) break;
    const auto [place, fresh] =
        places.emplace(entry->unit, contents.entries.size());
    if (fresh) {
      contents.entries.push_back(std::move(*entry));
    } else {
      contents.entries[place->second] = std::move(*entry);
    }
    contents.bytes = static_cast<std::int64_t>(end + 1);
  }
  return contents;
}

}  // namespace mantissa
