#include "text/post_processor.h"

#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/quoted.h"

namespace mantissa::text {
namespace {

// A template of a few tokens; more is no template.
constexpr std::size_t kMaxIds = 1024;

void append(const std::vector<TokenId>& ids,
            std::vector<TokenId>& out,
            const JsonObject& object) {
  out.insert(out.end(), ids.begin(), ids.end());
  if (out.size() > kMaxIds) {
    object.fail("", fmt::format("more than {} tokens around a text", kMaxIds));
  }
}

std::vector<TokenId> ids_of(const JsonObject& tokens, const std::string& name) {
  if (!tokens.has(name)) {
    tokens.fail("", fmt::format("no token {}", quoted_name(name)));
  }
  const JsonObject token = tokens.object(name);
  const Json* ids = token.find("ids");
  if (ids == nullptr || !ids->is_array() || ids->size() > kMaxIds) {
    token.fail("ids", "expected an array of ids");
  }
  std::vector<TokenId> out;
  for (const Json& id : *ids) {
    out.push_back(token_id_of(id, "tokenizer.json: post_processor.ids"));
  }
  return out;
}

Surround read_template(const JsonObject& object) {
  Surround around;
  bool seen = false;
  for (const JsonObject& piece : object.objects("single")) {
    if (piece.has("Sequence")) {
      if (seen || piece.object("Sequence").text("id") != "A") {
        object.refuse("single", "supported is $A once, with tokens around it");
      }
      seen = true;
      continue;
    }
    const std::string name = piece.object("SpecialToken").text("id");
    append(ids_of(object.object("special_tokens"), name),
           seen ? around.after : around.before,
           object);
  }
  if (!seen) object.fail("single", "the text itself ($A) is missing");
  return around;
}

// ["[CLS]", 101]
TokenId pair_id(const JsonObject& object, std::string_view key) {
  const Json* pair = object.find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2) {
    object.fail(key, "expected [token, id]");
  }
  return token_id_of((*pair)[1], "tokenizer.json: post_processor");
}

}  // namespace

Surround read_post_processor(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "ByteLevel") return {};  // changes offsets alone
  if (type == "TemplateProcessing") return read_template(object);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return {{pair_id(object, "cls")}, {pair_id(object, "sep")}};
  }
  if (type != "Sequence") {
    object.refuse_type(
        "BertProcessing, ByteLevel, RobertaProcessing, Sequence, "
        "TemplateProcessing");
  }
  Surround around;
  for (const JsonObject& part : object.objects("processors")) {
    Surround outer = read_post_processor(part);
    append(around.before, outer.before, object);
    append(outer.after, around.after, object);
    around.before = std::move(outer.before);
  }
  return around;
}

}  // namespace mantissa::text
