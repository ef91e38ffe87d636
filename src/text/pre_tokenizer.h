#pragma once

#include <memory>

#include "text/json_object.h"
#include "text/pieces.h"

namespace mantissa::text {

/// One step of `tokenizer.json`'s pre-tokenizer: cuts pieces smaller, and may
/// rewrite their text.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// Reads the object `pre_tokenizer`. Throws Error(Usage) for one that is not
/// supported, naming it and those that are.
std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonObject& object);

/// Steps that cut at characters of a class (class_splits.cpp): Digits,
/// Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer,
/// CharDelimiterSplit; null for another type.
std::unique_ptr<PreTokenizer> read_class_split(const JsonObject& object);

/// Reads `key` of a Split or Punctuation.
SplitBehavior read_behavior(const JsonObject& object,
                            std::string_view key,
                            SplitBehavior otherwise);

/// Cuts every piece: `find(text, matches)` appends the matches of one.
template <typename F>
void cut_pieces(Pieces& pieces, SplitBehavior behavior, bool invert, F&& find) {
  std::vector<Pieces::Piece> out;
  std::vector<Span> matches;
  std::vector<Span> cuts;
  out.reserve(pieces.parts.size() * 2);
  for (const Pieces::Piece& piece : pieces.parts) {
    const std::string_view text = pieces.view(piece);
    matches.clear();
    cuts.clear();
    find(text, matches);
    split_at(text, matches, behavior, invert, cuts);
    for (const Span& cut : cuts) {
      out.push_back({{piece.begin + cut.begin, piece.begin + cut.end},
                     piece.first && cut.begin == 0});
    }
  }
  pieces.parts = std::move(out);
}

}  // namespace mantissa::text
