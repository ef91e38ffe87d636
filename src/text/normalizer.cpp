#include "text/normalizer.h"

#include <vector>

#include <fmt/format.h>

#include "text/byte_level.h"
#include "text/characters.h"
#include "text/pattern.h"
#include "text/pieces.h"

namespace mantissa::text {
namespace {

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps)
      : steps_(std::move(steps)) {}

  void apply(std::string& text) const override {
    const std::size_t limit = growth_limit(text.size());
    for (const auto& step : steps_) {
      step->apply(text);
      check_growth(text.size(), limit, "normalizer");
    }
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override {
    text = replace_all(pattern_, text, content_);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text) const override {
    std::size_t begin = text.size();
    std::size_t end = 0;
    std::size_t at = 0;
    for_each_character(text, [&](char32_t c, std::string_view bytes) {
      if (!is_white_space(c)) {
        if (begin == text.size()) begin = at;
        end = at + bytes.size();
      }
      at += bytes.size();
    });
    if (right_) text.resize(left_ || end > 0 ? end : 0);
    if (left_) text.erase(0, begin);
  }

 private:
  bool left_;
  bool right_;
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    std::string out;
    append_byte_level(text, out);
    text = std::move(out);
  }
};

constexpr std::string_view kSupported =
    "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Prepend, "
    "Replace, Sequence, Strip, StripAccents";

std::unique_ptr<Normalizer> read_replace(const JsonObject& object) {
  std::string content = object.text("content");
  constexpr std::size_t kLongest = 20;
  if (content.size() > kLongest) {
    object.fail("content", fmt::format("longer than {} bytes", kLongest));
  }
  return std::make_unique<Replace>(Pattern(object), std::move(content));
}

std::unique_ptr<Normalizer> read_sequence(const JsonObject& object) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonObject& step : object.objects("normalizers")) {
    steps.push_back(read_normalizer(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

std::unique_ptr<Normalizer> read_normalizer(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "Sequence") return read_sequence(object);
  if (type == "Prepend") {
    return std::make_unique<Prepend>(object.text("prepend"));
  }
  if (type == "Replace") return read_replace(object);
  if (type == "Strip") {
    return std::make_unique<Strip>(object.flag("strip_left"),
                                   object.flag("strip_right"));
  }
  if (type == "Lowercase") return make_lowercase();
  if (type == "StripAccents") return make_strip_accents();
  if (type == "BertNormalizer") return make_bert_normalizer(object);
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  auto form = make_unicode_form(type);
  if (form == nullptr) object.refuse_type(kSupported);
  return form;
}

std::unique_ptr<Normalizer> make_space_normalizer(bool prefix) {
  constexpr const char* kMark = "\xe2\x96\x81";
  std::vector<std::unique_ptr<Normalizer>> steps;
  if (prefix) steps.push_back(std::make_unique<Prepend>(kMark));
  steps.push_back(std::make_unique<Replace>(Pattern(std::string(" ")), kMark));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace mantissa::text
