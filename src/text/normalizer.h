#pragma once

#include <memory>
#include <string>

#include "text/json_object.h"

namespace mantissa::text {

/// One step of `tokenizer.json`'s normalizer.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites well-formed UTF-8. Throws Error(Input) when a pattern gives up
  /// or the text would grow beyond reason.
  virtual void apply(std::string& text) const = 0;
};

/// Reads the object `normalizer`. Throws Error(Usage) for one that is not
/// supported, naming it and those that are.
std::unique_ptr<Normalizer> read_normalizer(const JsonObject& object);

/// U+2581 in front of every text and in place of every space.
std::unique_ptr<Normalizer> make_space_normalizer(bool prefix);

// The steps that follow Unicode (unicode_normalizers.cpp).
std::unique_ptr<Normalizer> make_unicode_form(const std::string& type);
std::unique_ptr<Normalizer> make_lowercase();
std::unique_ptr<Normalizer> make_strip_accents();
std::unique_ptr<Normalizer> make_bert_normalizer(const JsonObject& object);

}  // namespace mantissa::text
