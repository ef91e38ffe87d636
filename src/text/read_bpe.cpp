#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/quoted.h"
#include "text/bpe.h"

namespace mantissa::text {
namespace {

using Halves = std::pair<std::string_view, std::string_view>;

// "a b", or ["a", "b"] for tokens with spaces in them.
Halves halves_of(const Json& merge, const JsonObject& object, std::size_t i) {
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return {merge[0].get_ref<const std::string&>(),
            merge[1].get_ref<const std::string&>()};
  }
  object.fail("merges",
              fmt::format("merge {}: expected \"a b\" or [\"a\", \"b\"]", i));
}

PairTable read_merges(const JsonObject& object,
                      const Vocabulary& vocabulary,
                      const std::string& prefix) {
  const Json* merges = object.find("merges");
  if (merges == nullptr || !merges->is_array()) {
    object.fail("merges", "expected an array");
  }
  PairTable table(merges->size());
  const auto token = [&](std::string_view text, std::size_t i) {
    const TokenId id = vocabulary.find(text);
    if (id == kNoToken) {
      object.fail(
          "merges",
          fmt::format("merge {}: {} is no token", i, quoted_name(text)));
    }
    return id;
  };
  for (std::size_t i = 0; i < merges->size(); ++i) {
    const auto [left, right] = halves_of((*merges)[i], object, i);
    const TokenId first = token(left, i);
    const TokenId second = token(right, i);
    std::string whole(left);
    whole += right.starts_with(prefix) ? right.substr(prefix.size()) : right;
    table.set(first, second, {static_cast<std::uint32_t>(i), token(whole, i)});
  }
  return table;
}

}  // namespace

std::unique_ptr<Model> read_bpe(const JsonObject& object) {
  Vocabulary vocabulary(object.object("vocab"));
  BpeOptions options{
      .fuse_unknown = object.flag_or("fuse_unk", false),
      .byte_fallback = object.flag_or("byte_fallback", false),
      .ignore_merges = object.flag_or("ignore_merges", false),
      .subword_prefix = object.text_or("continuing_subword_prefix", ""),
      .word_suffix = object.text_or("end_of_word_suffix", "")};
  if (const Json* dropout = object.find("dropout");
      dropout != nullptr && *dropout != 0.0) {
    object.refuse("dropout", "random merges are not supported; only null is");
  }
  if (object.has("unk_token")) {
    const std::string unknown = object.text("unk_token");
    options.unknown = vocabulary.find(unknown);
    if (options.unknown == kNoToken) {
      object.fail("unk_token", quoted_name(unknown) + " is no token");
    }
  }
  PairTable merges = read_merges(object, vocabulary, options.subword_prefix);
  return std::make_unique<Bpe>(
      std::move(vocabulary), std::move(merges), std::move(options));
}

}  // namespace mantissa::text
