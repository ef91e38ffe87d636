#include <limits>
#include <utility>

#include <fmt/format.h>

#include "text/characters.h"
#include "text/decoder.h"
#include "text/pattern.h"

namespace mantissa::text {
namespace {

class Replace final : public Decoder {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      token = replace_all(pattern_, token, content_);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// One character, up to `start` times in front and `stop` times behind.
class Strip final : public Decoder {
 public:
  Strip(char32_t content, std::size_t start, std::size_t stop)
      : start_(start), stop_(stop) {
    append_character(content, content_);
  }

  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view text = token;
      for (std::size_t i = 0; i < start_ && text.starts_with(content_); ++i) {
        text.remove_prefix(content_.size());
      }
      for (std::size_t i = 0; i < stop_ && text.ends_with(content_); ++i) {
        text.remove_suffix(content_.size());
      }
      token = std::string(text);
    }
  }

 private:
  std::string content_;
  std::size_t start_;
  std::size_t stop_;
};

void substitute(std::string& text, std::string_view from, std::string_view to) {
  std::size_t found = text.find(from);
  if (found == text.npos) return;
  std::string out;
  std::size_t at = 0;
  for (; found != text.npos; found = text.find(from, at)) {
    out.append(text, at, found - at);
    out += to;
    at = found + from.size();
  }
  out.append(text, at);
  text = std::move(out);
}

class WordPiece final : public Decoder {
 public:
  explicit WordPiece(const JsonObject& object)
      : prefix_(object.text_or("prefix", "##")),
        cleanup_(object.flag_or("cleanup", true)) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0 && token.starts_with(prefix_)) {
        token.erase(0, prefix_.size());
      } else if (i > 0) {
        token.insert(0, " ");
      }
      if (cleanup_) clean(token);
    }
  }

 private:
  static void clean(std::string& text) {
    constexpr std::pair<std::string_view, std::string_view> kRows[] = {
        {" .", "."},
        {" ?", "?"},
        {" !", "!"},
        {" ,", ","},
        {" ' ", "'"},
        {" n't", "n't"},
        {" 'm", "'m"},
        {" do not", " don't"},
        {" 's", "'s"},
        {" 've", "'ve"},
        {" 're", "'re"}};
    for (const auto& [from, to] : kRows) substitute(text, from, to);
  }

  std::string prefix_;
  bool cleanup_;
};

class Metaspace final : public Decoder {
 public:
  explicit Metaspace(const JsonObject& object)
      : mark_(object.text_or("replacement", "\xe2\x96\x81")) {
    const bool prefix = object.flag_or("add_prefix_space", true);
    const std::string scheme =
        object.text_or("prepend_scheme", prefix ? "always" : "never");
    strips_ = scheme != "never";
    if (mark_.empty()) object.fail("replacement", "expected one character");
  }

  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      substitute(tokens[i], mark_, i == 0 && strips_ ? "" : " ");
    }
  }

 private:
  std::string mark_;
  bool strips_;
};

class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(const JsonObject& object)
      : suffix_(object.text_or("suffix", "</w>")) {
    if (suffix_.empty()) object.fail("suffix", "empty");
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      substitute(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    }
  }

 private:
  std::string suffix_;
};

std::unique_ptr<Decoder> read_replace(const JsonObject& object) {
  constexpr std::size_t kLongest = 20;
  std::string content = object.text("content");
  if (content.size() > kLongest) {
    object.fail("content", fmt::format("longer than {} bytes", kLongest));
  }
  return std::make_unique<Replace>(Pattern(object), std::move(content));
}

std::unique_ptr<Decoder> read_strip(const JsonObject& object) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::string content = object.text("content");
  if (content.empty() || character_bytes(content[0]) != content.size()) {
    object.fail("content", "expected one character");
  }
  return make_strip_decoder(
      first_character(content).code,
      static_cast<std::size_t>(object.number("start", kMost)),
      static_cast<std::size_t>(object.number("stop", kMost)));
}

}  // namespace

std::unique_ptr<Decoder> make_replace_decoder(std::string from,
                                              std::string to) {
  return std::make_unique<Replace>(Pattern(std::move(from)), std::move(to));
}

std::unique_ptr<Decoder> make_strip_decoder(char32_t content,
                                            std::size_t start,
                                            std::size_t stop) {
  return std::make_unique<Strip>(content, start, stop);
}

std::unique_ptr<Decoder> read_token_decoder(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "Replace") return read_replace(object);
  if (type == "Strip") return read_strip(object);
  if (type == "WordPiece") return std::make_unique<WordPiece>(object);
  if (type == "Metaspace") return std::make_unique<Metaspace>(object);
  if (type == "BPEDecoder") return std::make_unique<BpeDecoder>(object);
  return nullptr;
}

}  // namespace mantissa::text
