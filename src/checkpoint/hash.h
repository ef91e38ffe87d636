#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mantissa {

/// XXH3 with 64 bits over bytes in order.
class Hash64 {
 public:
  Hash64();
  ~Hash64();
  Hash64(Hash64&& other) noexcept;
  Hash64& operator=(Hash64&&) = delete;

  void add(std::span<const std::byte> bytes);
  /// Of everything added so far.
  std::uint64_t digest() const;
  /// Bytes added so far.
  std::int64_t bytes() const { return bytes_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::int64_t bytes_ = 0;
};

/// XXH3 with 64 bits of all bytes at once.
std::uint64_t hash64(std::span<const std::byte> bytes);

/// 16 hex digits, and back: nothing for any other text.
std::string hex64(std::uint64_t hash);
std::optional<std::uint64_t> parse_hex64(std::string_view text);

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
