#include "checkpoint/verify_manifest.h"

#include <map>
#include <mutex>
#include <optional>
#include <span>
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

std::string differs(const SafetensorsSource& source,
                    std::size_t index,
                    const ManifestEntry& wanted) {
  const std::string& file = source.shard_name(index);
  if (wanted.file != file) {
    return fmt::format("{}puts it in {}, but {} holds it",
                       kSays,
                       quoted_name(wanted.file),
                       quoted_name(file));
  }
  return differs(
      wanted, source.tensors()[index].stored_bytes, source.hash(index));
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
                : differs(source, index, entry->second);
        if (what.empty()) return;
        const std::lock_guard lock(mutex);
        findings.push_back({Severity::Wrong, tensor.name, what});
      });
}

// Manifests of older versions have no headers.
void check_headers(const SafetensorsSource& source,
                   const Manifest& manifest,
                   std::vector<Finding>& findings) {
  if (manifest.headers.empty()) return;
  std::map<std::string, ManifestEntry> left = manifest.headers;
  const auto find = [&](const std::string& file, const std::string& what) {
    findings.push_back(wrong(
        "", fmt::format("header of {}: {}", quoted_name(file), what)));
  };
  for (std::size_t i = 0; i < source.shard_count(); ++i) {
    const auto entry = left.find(source.file_name(i));
    if (entry == left.end()) {
      find(source.file_name(i), std::string(kSays) + "does not list it");
      continue;
    }
    const std::string header = source.header(i);
    const std::string what =
        differs(entry->second,
                static_cast<std::int64_t>(header.size()),
                hash64(std::as_bytes(std::span(header))));
    if (!what.empty()) find(source.file_name(i), what);
    left.erase(entry);
  }
  for (const auto& [file, entry] : left) {
    find(file, std::string(kSays) + "lists it, but it is no file of weights");
  }
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
  check_headers(source, *manifest, findings);
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
