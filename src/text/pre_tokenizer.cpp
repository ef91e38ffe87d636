#include "text/pre_tokenizer.h"

#include <utility>
#include <vector>

#include "text/byte_level.h"
#include "text/characters.h"
#include "text/pattern.h"

namespace mantissa::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  void apply(Pieces& pieces) const override {
    const std::size_t limit = growth_limit(pieces.text.size());
    for (const auto& step : steps_) {
      step->apply(pieces);
      check_growth(pieces.text.size(), limit, "pre_tokenizer");
    }
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

// Rewrites every piece: `write(piece, text, out)` appends its new text.
template <typename F>
void rewrite(Pieces& pieces, F&& write) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.text.size() / 4 + 16);
  for (Pieces::Piece& piece : pieces.parts) {
    const std::string_view text = pieces.view(piece);
    const std::size_t begin = out.size();
    write(piece, text, out);
    piece.begin = begin;
    piece.end = out.size();
  }
  pieces.text = std::move(out);
}

class ByteLevel final : public PreTokenizer {
 public:
  explicit ByteLevel(const JsonObject& object)
      : add_prefix_space_(object.flag("add_prefix_space")) {
    if (object.flag_or("use_regex", true)) {
      regex_.emplace(kGpt2, "pre-tokenizer ByteLevel");
    }
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      rewrite(pieces, [](const auto&, std::string_view text, std::string& out) {
        if (!text.starts_with(' ')) out += ' ';
        out += text;
      });
    }
    if (regex_) {
      RegexMatcher matcher(*regex_);
      cut_pieces(pieces,
                 SplitBehavior::Isolated,
                 false,
                 [&](std::string_view text, std::vector<Span>& matches) {
                   matcher.find_all(text, matches);
                 });
    }
    rewrite(pieces, [](const auto&, std::string_view text, std::string& out) {
      append_byte_level(text, out);
    });
  }

 private:
  bool add_prefix_space_;
  std::optional<Regex> regex_;
};

class Split final : public PreTokenizer {
 public:
  explicit Split(const JsonObject& object)
      : pattern_(object),
        behavior_(read_behavior(object, "behavior", SplitBehavior::Isolated)),
        invert_(object.flag_or("invert", false)) {}

  void apply(Pieces& pieces) const override {
    PatternMatcher matcher(pattern_);
    cut_pieces(pieces,
               behavior_,
               invert_,
               [&](std::string_view text, std::vector<Span>& matches) {
                 matcher.find_all(text, matches);
               });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class Metaspace final : public PreTokenizer {
 public:
  explicit Metaspace(const JsonObject& object)
      : mark_(object.text_or("replacement", "\xe2\x96\x81")),
        split_(object.flag_or("split", true)) {
    if (mark_.empty() || character_bytes(mark_[0]) != mark_.size()) {
      object.fail("replacement", "expected one character");
    }
    // Files before prepend_scheme have add_prefix_space.
    const bool prefix = object.flag_or("add_prefix_space", true);
    scheme_ = object.text_or("prepend_scheme", prefix ? "always" : "never");
    if (scheme_ != "always" && scheme_ != "first" && scheme_ != "never") {
      object.refuse("prepend_scheme", "expected always, first or never");
    }
  }

  void apply(Pieces& pieces) const override {
    rewrite(pieces,
            [&](const Pieces::Piece& piece,
                std::string_view text,
                std::string& out) {
              const bool marked =
                  text.starts_with(' ') || text.starts_with(mark_);
              const bool wanted =
                  scheme_ == "always" || (scheme_ == "first" && piece.first);
              if (wanted && !marked) out += mark_;
              for (const char c : text) {
                if (c == ' ') {
                  out += mark_;
                } else {
                  out += c;
                }
              }
            });
    if (!split_) return;
    PatternMatcher matcher(mark_pattern_);
    cut_pieces(pieces,
               SplitBehavior::MergedWithNext,
               false,
               [&](std::string_view text, std::vector<Span>& matches) {
                 matcher.find_all(text, matches);
               });
  }

 private:
  std::string mark_;
  bool split_;
  std::string scheme_;
  Pattern mark_pattern_{mark_};
};

constexpr std::string_view kSupported =
    "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, "
    "Punctuation, Sequence, Split, Whitespace, WhitespaceSplit";

std::unique_ptr<PreTokenizer> read_sequence(const JsonObject& object) {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (const JsonObject& step : object.objects("pretokenizers")) {
    steps.push_back(read_pre_tokenizer(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace

SplitBehavior read_behavior(const JsonObject& object,
                            std::string_view key,
                            SplitBehavior otherwise) {
  constexpr std::pair<std::string_view, SplitBehavior> kRows[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous},
  };
  if (!object.has(key)) return otherwise;
  const std::string word = object.text(key);
  for (const auto& [name, behavior] : kRows) {
    if (name == word) return behavior;
  }
  object.refuse(key,
                "expected Removed, Isolated, MergedWithPrevious, "
                "MergedWithNext or Contiguous");
}

std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "Sequence") return read_sequence(object);
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(object);
  if (type == "Split") return std::make_unique<Split>(object);
  if (type == "Metaspace") return std::make_unique<Metaspace>(object);
  auto step = read_class_split(object);
  if (step == nullptr) object.refuse_type(kSupported);
  return step;
}

}  // namespace mantissa::text
