#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace mantissa {

/// A JSON leaf as the strict readers see it. Integers that do not fit 64 bits
/// arrive as Float, as does everything with a fraction or an exponent.
struct JsonScalar {
  enum class Kind { Null, Boolean, Unsigned, Negative, Float, String };
  Kind kind = Kind::Null;
  std::uint64_t number = 0;  ///< of Unsigned
  std::string text;          ///< of String
};

/// "a string", "a negative number".
std::string_view describe(JsonScalar::Kind kind);

/// Walks JSON from outside without building a tree. Nesting deeper than
/// kMaxDepth, bytes after the value and everything that is not JSON in UTF-8
/// are errors; what the values may be is the derived class's word.
class StrictSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  static constexpr int kMaxDepth = 4;

  /// Parses the whole text. Throws Error(Input) that begins with `label`.
  void parse(std::string_view text);

  bool null() final;
  bool boolean(bool value) final;
  bool number_integer(number_integer_t value) final;
  bool number_unsigned(number_unsigned_t value) final;
  bool number_float(number_float_t value, const string_t& text) final;
  bool string(string_t& value) final;
  bool binary(binary_t& value) final;
  bool start_object(std::size_t elements) final;
  bool key(string_t& value) final;
  bool end_object() final;
  bool start_array(std::size_t elements) final;
  bool end_array() final;
  bool parse_error(std::size_t position,
                   const std::string& last_token,
                   const nlohmann::json::exception& error) final;

 protected:
  enum class Container { Object, Array };

  explicit StrictSax(std::string label) : label_(std::move(label)) {}

  /// Containers that are open, the one that begin() announces included.
  int depth() const { return depth_; }
  [[noreturn]] void fail(const std::string& what) const;

  virtual void on_begin(Container container) = 0;
  virtual void on_key(std::string& key) = 0;
  virtual void on_scalar(JsonScalar& value) = 0;
  virtual void on_end() = 0;

 private:
  bool begin(Container container);
  bool end();
  bool scalar(JsonScalar value);

  std::string label_;
  int depth_ = 0;
};

}  // namespace mantissa
