#include "checkpoint/verify_manifest.h"

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/hash.h"
#include "checkpoint/input_file.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors_index.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr const char* kSays = "mantissa_manifest.json: ";

std::string differs(const ManifestEntry& wanted,
                    std::int64_t bytes,
                    std::uint64_t xxh3) {
  if (bytes != wanted.bytes) {
    return fmt::format(
        "{}expected {} bytes, found {}", kSays, wanted.bytes, bytes);
  }
  if (xxh3 != wanted.xxh3) {
    return fmt::format(
        "{}expected XXH3 {}, found {}", kSays, hex64(wanted.xxh3), hex64(xxh3));
  }
  return {};
}

void check_tensors(const SafetensorsSource& source,
                   const Manifest& manifest,
                   int workers,
                   std::vector<Finding>& findings) {
  std::mutex mutex;
  const auto& tensors = source.tensors();
  WorkerPool(workers).run(
      static_cast<std::int64_t>(tensors.size()), [&](std::int64_t i, int) {
        const auto index = static_cast<std::size_t>(i);
        const SourceTensor& tensor = tensors[index];
        const auto entry = manifest.tensors.find(tensor.name);
        const std::string what =
            entry == manifest.tensors.end()
                ? std::string(kSays) + "does not list it"
                : differs(
                      entry->second, tensor.stored_bytes, source.hash(index));
        if (what.empty()) return;
        const std::lock_guard lock(mutex);
        findings.push_back({Severity::Wrong, tensor.name, what});
      });
}

void check_file(const SafetensorsSource& source,
                const std::string& name,
                const ManifestEntry& wanted,
                std::vector<Finding>& findings) {
  std::string what;
  if (!refuse_relative_path(name).empty()) {
    what = std::string(kSays) + "names a file that is not one of the directory";
  } else {
    try {
      const FileHash found = hash_file(source.root() / name);
      what = differs(wanted, found.bytes, found.xxh3);
    } catch (const Error&) {
      what = std::string(kSays) + "lists it, but it cannot be read";
    }
  }
  if (what.empty()) return;
  findings.push_back(
      {Severity::Wrong, "", fmt::format("{}: {}", quoted_name(name), what)});
}

}  // namespace

std::vector<Finding> verify_manifest(const SafetensorsSource& source,
                                     int workers,
                                     std::int64_t& bytes) {
  std::vector<Finding> findings;
  if (source.root().empty()) return findings;
  std::optional<Manifest> manifest;
  try {
    manifest = read_manifest(source.root());
  } catch (const Error& error) {
    findings.push_back({Severity::Malformed, "", error.what()});
  }
  if (!manifest) return findings;
  check_tensors(source, *manifest, workers, findings);
  std::map<std::string_view, bool> present;
  for (const SourceTensor& tensor : source.tensors()) {
    present[tensor.name] = true;
    bytes += tensor.stored_bytes;
  }
  for (const auto& [name, entry] : manifest->tensors) {
    if (present.contains(name)) continue;
    findings.push_back({Severity::Wrong,
                        name,
                        std::string(kSays) + "lists it, but the files hold "
                                             "nothing of it"});
  }
  for (const auto& [name, entry] : manifest->files) {
    check_file(source, name, entry, findings);
  }
  return findings;
}

}  // namespace mantissa
