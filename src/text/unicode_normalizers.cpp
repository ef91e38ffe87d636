#include <utf8proc.h>

#include <cstdlib>
#include <new>

#include "text/characters.h"
#include "text/normalizer.h"

namespace mantissa::text {
namespace {

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

void normalize(std::string& text, int options) {
  if (is_ascii(text)) return;
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()),
                   &out,
                   static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  if (bytes < 0) throw std::bad_alloc();
  text.assign(reinterpret_cast<const char*>(out),
              static_cast<std::size_t>(bytes));
  std::free(out);
}

// Rewrites a text character by character.
template <typename F>
void map_characters(std::string& text, F&& append) {
  std::string out;
  out.reserve(text.size());
  for_each_character(
      text, [&](char32_t c, std::string_view bytes) { append(c, bytes, out); });
  text = std::move(out);
}

class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(int options) : options_(options) {}
  void apply(std::string& text) const override { normalize(text, options_); }

 private:
  int options_;
};

void lower(std::string& text) {
  map_characters(text, [](char32_t c, std::string_view, std::string& out) {
    append_lower(c, out);
  });
}

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text) const override { lower(text); }
};

class StripAccents final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    if (is_ascii(text)) return;
    map_characters(text,
                   [](char32_t c, std::string_view bytes, std::string& out) {
                     if (!is_mark(c)) out += bytes;
                   });
  }
};

// The blocks that BERT takes for Chinese and puts spaces around.
bool is_bert_cjk(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const JsonObject& object)
      : clean_(object.flag_or("clean_text", true)),
        cjk_(object.flag_or("handle_chinese_chars", true)),
        lowercase_(object.flag_or("lowercase", true)),
        strip_accents_(object.flag_or("strip_accents", lowercase_)) {}

  void apply(std::string& text) const override {
    if (clean_) map_characters(text, clean);
    if (cjk_) map_characters(text, space_out);
    if (strip_accents_) {
      normalize(text, UTF8PROC_DECOMPOSE);
      map_characters(text,
                     [](char32_t c, std::string_view bytes, std::string& out) {
                       if (!is_nonspacing_mark(c)) out += bytes;
                     });
    }
    if (lowercase_) lower(text);
  }

 private:
  static void clean(char32_t c, std::string_view bytes, std::string& out) {
    if (is_white_space(c) &&
        (c >= 0x80 || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      if (c == 0x85) return;  // a control first
      out += ' ';
    } else if (c != 0xfffd && !is_other(c)) {
      out += bytes;
    }
  }

  static void space_out(char32_t c, std::string_view bytes, std::string& out) {
    const bool cjk = is_bert_cjk(c);
    if (cjk) out += ' ';
    out += bytes;
    if (cjk) out += ' ';
  }

  bool clean_;
  bool cjk_;
  bool lowercase_;
  bool strip_accents_;
};

}  // namespace

std::unique_ptr<Normalizer> make_unicode_form(const std::string& type) {
  if (type == "NFC") return std::make_unique<UnicodeForm>(UTF8PROC_COMPOSE);
  if (type == "NFD") return std::make_unique<UnicodeForm>(UTF8PROC_DECOMPOSE);
  if (type == "NFKC") {
    return std::make_unique<UnicodeForm>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  }
  if (type == "NFKD") {
    return std::make_unique<UnicodeForm>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
  return nullptr;
}

std::unique_ptr<Normalizer> make_lowercase() {
  return std::make_unique<Lowercase>();
}

std::unique_ptr<Normalizer> make_strip_accents() {
  return std::make_unique<StripAccents>();
}

std::unique_ptr<Normalizer> make_bert_normalizer(const JsonObject& object) {
  return std::make_unique<BertNormalizer>(object);
}

}  // namespace mantissa::text
