#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mantissa {

/// XXH3 with 128 bits over parts; every part counts with its length, so that
/// moving bytes from one part to the next changes the hash.
class Hash128 {
 public:
  Hash128();
  ~Hash128();
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  Hash128& add(std::span<const std::byte> part);
  Hash128& add(std::string_view part);
  /// 32 hex digits, most significant first.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mantissa
