#include "checkpoint/manifest.h"

#include <set>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/hash.h"
#include "checkpoint/input_file.h"
#include "checkpoint/strict_sax.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::int64_t kLargestManifest = std::int64_t{1} << 30;

std::string quoted_json(const std::string& text) {
  return nlohmann::json(text).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string section(const std::map<std::string, ManifestEntry>& entries) {
  std::string out = "{";
  const char* separator = "\n";
  for (const auto& [name, entry] : entries) {
    out += fmt::format("{}    {}: {{", separator, quoted_json(name));
    if (!entry.file.empty()) {
      out += fmt::format("\"file\": {}, ", quoted_json(entry.file));
    }
    out += fmt::format(
        "\"bytes\": {}, \"xxh3\": \"{}\"}}", entry.bytes, hex64(entry.xxh3));
    separator = ",\n";
  }
  return out + (entries.empty() ? "}" : "\n  }");
}

// {"schema_version", "tool_version", "files": {name: entry}, "headers": ...,
// "tensors": ...}
class ManifestSax final : public StrictSax {
 public:
  ManifestSax(std::string label, Manifest& manifest)
      : StrictSax(std::move(label)), manifest_(manifest) {}

  bool complete() const { return version_seen_; }

 private:
  void on_begin(Container container) override {
    if (container != Container::Object || depth() > 3) {
      fail("expected objects of files and tensors");
    }
    if (depth() == 2) {
      section_ = section_of(key_);
      if (section_ == nullptr) fail("unexpected object " + quoted_name(key_));
    }
    if (depth() == 3) {
      const auto [at, added] = section_->try_emplace(key_);
      if (!added) fail(quoted_name(key_) + " stands twice");
      entry_ = &at->second;
      name_ = key_;
      fields_.clear();
    }
  }

  std::map<std::string, ManifestEntry>* section_of(std::string_view key) {
    if (key == "files") return &manifest_.files;
    if (key == "headers") return &manifest_.headers;
    return key == "tensors" ? &manifest_.tensors : nullptr;
  }

  void on_key(std::string& key) override {
    key_ = std::move(key);
    if (depth() == 2) return;  // try_emplace() sees them
    if (!(depth() == 1 ? sections_ : fields_).insert(key_).second) {
      fail(quoted_name(key_) + " stands twice");
    }
  }

  void on_scalar(JsonScalar& value) override {
    using Kind = JsonScalar::Kind;
    if (depth() == 1) {
      if (key_ == "tool_version" && value.kind == Kind::String) {
        manifest_.tool_version = std::move(value.text);
        return;
      }
      if (key_ == "schema_version" && value.kind == Kind::Unsigned) {
        if (value.number != 1) fail("schema_version: expected 1");
        version_seen_ = true;
        return;
      }
    }
    if (depth() == 3 && key_ == "file" && value.kind == Kind::String) {
      entry_->file = std::move(value.text);
      return;
    }
    if (depth() == 3 && key_ == "bytes" && value.kind == Kind::Unsigned &&
        value.number <= static_cast<std::uint64_t>(INT64_MAX)) {
      entry_->bytes = static_cast<std::int64_t>(value.number);
      return;
    }
    if (depth() == 3 && key_ == "xxh3" && value.kind == Kind::String) {
      if (const auto hash = parse_hex64(value.text)) {
        entry_->xxh3 = *hash;
        return;
      }
    }
    fail(fmt::format(
        "{}: unexpected {}", quoted_name(key_), describe(value.kind)));
  }

  void on_end() override {
    if (depth() != 3) return;
    for (const char* field : {"bytes", "xxh3"}) {
      if (!fields_.contains(field)) {
        fail(fmt::format("{}: {} is missing", quoted_name(name_), field));
      }
    }
  }

  Manifest& manifest_;
  std::map<std::string, ManifestEntry>* section_ = nullptr;
  ManifestEntry* entry_ = nullptr;
  std::set<std::string, std::less<>> sections_;
  std::set<std::string, std::less<>> fields_;  // of the entry
  std::string key_;
  std::string name_;  // of the entry
  bool version_seen_ = false;
};

}  // namespace

std::string Manifest::to_json() const {
  return fmt::format(
      "{{\n  \"schema_version\": 1,\n  \"tool_version\": {},\n"
      "  \"files\": {},\n{}  \"tensors\": {}\n}}\n",
      quoted_json(tool_version),
      section(files),
      headers.empty() ? ""
                      : fmt::format("  \"headers\": {},\n", section(headers)),
      section(tensors));
}

void Manifest::add_header(const std::string& file, std::string_view header) {
  headers[file] = {"",
                   static_cast<std::int64_t>(header.size()),
                   hash64(std::as_bytes(std::span(header)))};
}

Manifest parse_manifest(std::string_view text, const std::string& label) {
  Manifest manifest;
  ManifestSax sax(label, manifest);
  sax.parse(text);
  if (!sax.complete()) {
    throw Error(ErrorKind::Input, label + ": schema_version is missing");
  }
  return manifest;
}

std::optional<Manifest> read_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / Manifest::kFile;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  return parse_manifest(read_text(path, kLargestManifest), path.string());
}

}  // namespace mantissa
