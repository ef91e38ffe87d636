#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <mantissa/core/error.h>

#include "checkpoint/manifest.h"
#include "checkpoint/safetensors_index.h"
#include "checkpoint/safetensors_source.h"
#include "checkpoint/verify_manifest.h"
#include "fuzz/target.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace mantissa::fuzz {
namespace {

bool same(const std::map<std::string, ManifestEntry>& a,
          const std::map<std::string, ManifestEntry>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.file == y.second.file &&
           x.second.bytes == y.second.bytes && x.second.xxh3 == y.second.xxh3;
  });
}

// A directory with one weight file and a file beside it that no manifest may
// reach.
class Directory {
 public:
  Directory() {
    using support::w_entry;
    using support::with_entries;
    dir_.write("secret", "");
    dir_.write("out/model.safetensors",
               with_entries(w_entry("[4]", "[0,4]"), 4));
    dir_.write("out/config.json", "{}");
  }

  std::vector<Finding> verify(std::string_view manifest) const {
    dir_.write(std::string("out/") + Manifest::kFile, manifest);
    const std::filesystem::path root = dir_.path() / "out";
    const SafetensorsSource source(
        root / "model.safetensors",
        {.kind = "directory", .root = root, .config_json = "{}"});
    std::int64_t bytes = 0;
    return verify_manifest(source, 1, bytes);
  }

 private:
  support::TempDir dir_;
};

bool speaks_of(const std::vector<Finding>& findings, std::string_view what) {
  return std::ranges::any_of(findings, [&](const Finding& finding) {
    return finding.what.find(what) != std::string::npos;
  });
}

void check_directory(std::string_view text, const Manifest& manifest) {
  static const Directory directory;
  const std::vector<Finding> findings = directory.verify(text);
  for (const Finding& finding : findings) {
    expect(finding.severity == Severity::Wrong,
           "a manifest that can be read is not malformed");
  }
  for (const auto& [name, entry] : manifest.files) {
    if (refuse_relative_path(name).empty()) continue;
    expect(speaks_of(findings, "not one of the directory"),
           "a name that leaves the directory is not followed");
  }
  for (const auto& [name, entry] : manifest.headers) {
    if (name == "model.safetensors") continue;
    expect(speaks_of(findings, "is no file of weights"),
           "a header of no weight file is found out");
  }
  for (const auto& [name, entry] : manifest.tensors) {
    if (name == "w") continue;
    expect(speaks_of(findings, "the files hold nothing of it"),
           "a tensor that is not there is found out");
  }
}

}  // namespace

Outcome manifest(std::string_view input) {
  try {
    const Manifest read = parse_manifest(input, "fuzz");
    const Manifest again = parse_manifest(read.to_json(), "written again");
    expect(again.tool_version == read.tool_version &&
               same(again.files, read.files) &&
               same(again.headers, read.headers) &&
               same(again.tensors, read.tensors),
           "a manifest means the same when it is written again");
    check_directory(input, read);
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input, "a malformed manifest is Input");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace mantissa::fuzz
