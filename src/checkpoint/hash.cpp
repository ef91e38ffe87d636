#include "checkpoint/hash.h"

#include <charconv>
#include <cstdint>

#include <fmt/format.h>
#include <xxhash.h>

#include <mantissa/core/error.h>

namespace mantissa {

struct Hash64::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hash64::Hash64() : state_(std::make_unique<State>()) {
  if (state_->xxh == nullptr) {
    throw Error(ErrorKind::Resources, "hash: out of memory");
  }
  XXH3_64bits_reset(state_->xxh);
}

Hash64::~Hash64() = default;
Hash64::Hash64(Hash64&& other) noexcept = default;

void Hash64::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_->xxh, bytes.data(), bytes.size());
  bytes_ += static_cast<std::int64_t>(bytes.size());
}

std::uint64_t Hash64::digest() const { return XXH3_64bits_digest(state_->xxh); }

std::uint64_t hash64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hex64(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::optional<std::uint64_t> parse_hex64(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || error != std::errc() || last != end) return {};
  return value;
}

struct Hash128::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hash128::Hash128() : state_(std::make_unique<State>()) {
  if (state_->xxh == nullptr) {
    throw Error(ErrorKind::Resources, "hash: out of memory");
  }
  XXH3_128bits_reset(state_->xxh);
}

Hash128::~Hash128() = default;

Hash128& Hash128::add(std::span<const std::byte> part) {
  const std::uint64_t size = part.size();
  XXH3_128bits_update(state_->xxh, &size, sizeof(size));
  XXH3_128bits_update(state_->xxh, part.data(), part.size());
  return *this;
}

Hash128& Hash128::add(std::string_view part) {
  return add(std::as_bytes(std::span(part)));
}

std::string Hash128::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace mantissa
