#include "checkpoint/hash.h"

#include <cstdint>

#include <fmt/format.h>
#include <xxhash.h>

#include <mantissa/core/error.h>

namespace mantissa {

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
