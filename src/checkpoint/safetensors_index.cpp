#include "checkpoint/safetensors_index.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/strict_sax.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestPath = 4095;  // PATH_MAX without its zero

class IndexSax final : public StrictSax {
 public:
  explicit IndexSax(std::string_view label) : StrictSax(std::string(label)) {}

  SafetensorsIndex index;
  bool has_weight_map = false;

 private:
  void on_begin(Container container) override {
    const bool object = container == Container::Object;
    if (depth() == 1 && !object) fail("expected an object, got an array");
    if (depth() == 2 && section_ == "weight_map" && !object) {
      fail("weight_map: expected an object, got an array");
    }
    if (depth() == 3 && section_ == "weight_map") {
      fail(fmt::format("weight_map: {}: expected a file name",
                       quoted_name(key_)));
    }
  }

  void on_key(std::string& key) override {
    if (depth() == 1) {
      if (key == "weight_map") {
        if (has_weight_map) fail("duplicate key \"weight_map\"");
        has_weight_map = true;
      }
      section_ = std::move(key);
      key_.clear();
    } else if (depth() == 2 && section_ == "metadata") {
      key_ = std::move(key);
    } else if (depth() == 2 && section_ == "weight_map") {
      key_ = std::move(key);
      if (index.weight_map.contains(key_)) {
        fail(fmt::format("weight_map: duplicate name {}", quoted_name(key_)));
      }
    }
  }

  void on_scalar(JsonScalar& value) override {
    if (depth() == 0) fail("expected an object");
    if (section_ == "metadata" && depth() == 2 && key_ == "total_size" &&
        value.kind == JsonScalar::Kind::Unsigned) {
      index.total_size = value.number;
    }
    if (section_ != "weight_map") return;
    if (depth() == 1) fail("weight_map: expected an object");
    if (value.kind != JsonScalar::Kind::String) {
      fail(fmt::format("weight_map: {}: expected a file name, got {}",
                       quoted_name(key_),
                       describe(value.kind)));
    }
    std::string refusal = refuse_relative_path(value.text);
    if (refusal.empty() && !value.text.ends_with(".safetensors")) {
      refusal = "does not end in .safetensors";
    }
    if (!refusal.empty()) {
      fail(fmt::format("weight_map: {}: file name {} {}",
                       quoted_name(key_),
                       quoted_name(value.text),
                       refusal));
    }
    index.weight_map.emplace(std::move(key_), std::move(value.text));
  }

  void on_end() override {}

  std::string section_;
  std::string key_;
};

}  // namespace

std::string refuse_relative_path(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.front() == '/') return "is absolute";
  if (path.size() > kLongestPath) {
    return fmt::format(
        "has {} bytes, expected at most {}", path.size(), kLongestPath);
  }
  for (const char c : path) {
    if (c == '\\') return "contains a backslash";
    if (static_cast<unsigned char>(c) < 0x20) {
      return "contains a control character";
    }
  }
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component.empty()) return "has an empty component";
    if (component == "." || component == "..") {
      return fmt::format("contains \"{}\"", component);
    }
    if (slash == path.npos) return {};
    path.remove_prefix(slash + 1);
  }
}

SafetensorsIndex parse_index(std::string_view text, std::string_view label) {
  IndexSax sax(label);
  sax.parse(text);
  if (!sax.has_weight_map) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: weight_map is missing", label));
  }
  if (sax.index.weight_map.empty()) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: weight_map is empty: it names no tensor of "
                            "the files beside it",
                            label));
  }
  return std::move(sax.index);
}

int shard_total(std::string_view name) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (!name.ends_with(kSuffix)) return 0;
  name.remove_suffix(kSuffix.size());
  const std::size_t at = name.rfind("-of-");
  if (at == name.npos) return 0;
  const std::string_view digits = name.substr(at + 4);
  int total = 0;
  const auto result =
      std::from_chars(digits.data(), digits.data() + digits.size(), total);
  const bool whole =
      result.ec == std::errc() && result.ptr == digits.data() + digits.size();
  return whole && total > 0 ? total : 0;
}

std::vector<std::string> unnamed_weights(const fs::path& index,
                                         const std::set<std::string>& named) {
  const fs::path folder = index.parent_path();
  std::vector<std::string> unnamed;
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(folder.empty() ? "." : folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") && !named.contains(name) &&
        entry.is_regular_file(ignored)) {
      unnamed.push_back(name);
    }
  }
  std::ranges::sort(unnamed);
  for (const std::string& name : unnamed) {
    const int total = shard_total(name);
    const auto stem = std::string_view(name).substr(0, name.rfind("-of-"));
    const auto series = stem.substr(0, stem.rfind('-'));
    const bool sibling =
        total > 0 && std::ranges::any_of(named, [&](const auto& other) {
          return other.starts_with(series) && shard_total(other) == total;
        });
    if (!sibling) continue;
    throw Error(ErrorKind::Input,
                fmt::format("{}: weight_map names no tensor of {}, one of the "
                            "{} shards: its tensors would be lost",
                            index.string(),
                            quoted_name(name),
                            total));
  }
  return unnamed;
}

}  // namespace mantissa
