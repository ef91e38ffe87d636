#include "text/characters.h"
#include "text/pre_tokenizer.h"

namespace mantissa::text {
namespace {

// Cuts at every character for which kIs says so.
template <typename Is>
void cut_at(Pieces& pieces, SplitBehavior behavior, Is&& is) {
  cut_pieces(pieces,
             behavior,
             false,
             [&](std::string_view text, std::vector<Span>& matches) {
               std::size_t at = 0;
               for_each_character(
                   text, [&](char32_t c, std::string_view bytes) {
                     if (is(c)) matches.push_back({at, at + bytes.size()});
                     at += bytes.size();
                   });
             });
}

class Digits final : public PreTokenizer {
 public:
  explicit Digits(const JsonObject& object)
      : behavior_(object.flag_or("individual_digits", false)
                      ? SplitBehavior::Isolated
                      : SplitBehavior::Contiguous) {}
  void apply(Pieces& pieces) const override {
    cut_at(pieces, behavior_, is_numeric);
  }

 private:
  SplitBehavior behavior_;
};

class Punctuation final : public PreTokenizer {
 public:
  explicit Punctuation(const JsonObject& object)
      : behavior_(read_behavior(object, "behavior", SplitBehavior::Isolated)) {}
  void apply(Pieces& pieces) const override {
    cut_at(pieces, behavior_, is_punctuation);
  }

 private:
  SplitBehavior behavior_;
};

class WhitespaceSplit final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    cut_at(pieces, SplitBehavior::Removed, is_white_space);
  }
};

class BertPreTokenizer final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    cut_at(pieces, SplitBehavior::Removed, is_white_space);
    cut_at(pieces, SplitBehavior::Isolated, is_punctuation);
  }
};

class CharDelimiterSplit final : public PreTokenizer {
 public:
  explicit CharDelimiterSplit(const JsonObject& object) {
    const std::string text = object.text("delimiter");
    const Utf8Character first = first_character(text);
    if (text.empty() || first.bytes != text.size()) {
      object.fail("delimiter", "expected one character");
    }
    delimiter_ = first.code;
  }
  void apply(Pieces& pieces) const override {
    cut_at(pieces, SplitBehavior::Removed, [&](char32_t c) {
      return c == delimiter_;
    });
  }

 private:
  char32_t delimiter_ = 0;
};

// Runs of word characters, and runs of what is neither word nor space.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    cut_pieces(pieces, SplitBehavior::Removed, true, find);
  }

 private:
  static void find(std::string_view text, std::vector<Span>& matches) {
    enum class Kind { Space, Word, Rest };
    Kind last = Kind::Space;
    std::size_t at = 0;
    for_each_character(text, [&](char32_t c, std::string_view bytes) {
      const Kind kind = is_word(c)          ? Kind::Word
                        : is_white_space(c) ? Kind::Space
                                            : Kind::Rest;
      if (kind != Kind::Space) {
        if (kind != last) matches.push_back({at, at});
        matches.back().end = at + bytes.size();
      }
      last = kind;
      at += bytes.size();
    });
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> read_class_split(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "Digits") return std::make_unique<Digits>(object);
  if (type == "Punctuation") return std::make_unique<Punctuation>(object);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplit>();
  if (type == "BertPreTokenizer") return std::make_unique<BertPreTokenizer>();
  if (type == "CharDelimiterSplit") {
    return std::make_unique<CharDelimiterSplit>(object);
  }
  return nullptr;
}

}  // namespace mantissa::text
