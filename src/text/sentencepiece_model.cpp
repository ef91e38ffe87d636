// ModelProto of SentencePiece: the few fields that a BPE model needs.
#include <cstring>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/text/score_vocabulary.h>

#include "text/json_object.h"

namespace mantissa {
namespace {

using Kind = ScoreVocabulary::Kind;

[[noreturn]] void fail(std::string_view what) {
  throw Error(ErrorKind::Input, fmt::format("tokenizer.model: {}", what));
}

[[noreturn]] void refuse(std::string_view what) {
  throw Error(ErrorKind::Usage,
              fmt::format("tokenizer.model: {}; supported are models of type "
                          "BPE without a normalization map",
                          what));
}

// One field of a protobuf message.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;      // of a varint
  std::string_view bytes = {};  // of the others
};

// Walks the fields of one message; every length is checked.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    field = {.number = key >> 3};
    switch (key & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.bytes = take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.bytes = take(4);
        break;
      default:
        fail("no protobuf message (unknown wire type)");
    }
    return true;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
      if (byte < 0x80) return value;
    }
    fail("no protobuf message (a number of more than 10 bytes)");
  }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > rest_.size()) fail("cut off, or no protobuf message");
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return out;
  }

  std::string_view rest_;
};

float float_of(const Field& field) {
  float value = 0;
  if (field.bytes.size() != sizeof(value)) fail("a score that is no float");
  std::memcpy(&value, field.bytes.data(), sizeof(value));
  return value;
}

ScoreVocabulary::Token read_piece(std::string_view bytes) {
  ScoreVocabulary::Token token;
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) token.text = std::string(field.bytes);
    if (field.number == 2) token.score = float_of(field);
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6) fail("a piece of unknown type");
      token.kind = static_cast<Kind>(field.value);
    }
  }
  return token;
}

void read_trainer(std::string_view bytes, ScoreVocabulary& vocabulary) {
  constexpr std::uint64_t kBpe = 2;
  std::uint64_t type = 1;  // unigram, when the file does not say
  std::int32_t unknown = 0;
  std::int32_t bos = 1;
  std::int32_t eos = 2;
  Message message(bytes);
  for (Field field; message.next(field);) {
    // A negative id is sign-extended to 64 bits.
    const auto number = static_cast<std::int32_t>(field.value);
    if (field.number == 3) type = field.value;
    if (field.number == 40) unknown = number;
    if (field.number == 41) bos = number;
    if (field.number == 42) eos = number;
  }
  if (type != kBpe) {
    constexpr const char* kNames[] = {"0", "unigram", "BPE", "word", "char"};
    refuse(fmt::format("type {}",
                       type < std::size(kNames) ? kNames[type] : "unknown"));
  }
  const auto valid = [](std::int32_t id) {
    return id < 0 ? std::nullopt : std::optional(id);
  };
  vocabulary.unknown = valid(unknown);
  vocabulary.bos = valid(bos);
  vocabulary.eos = valid(eos);
}

void read_normalizer(std::string_view bytes, ScoreVocabulary& vocabulary) {
  Message message(bytes);
  bool collapses = true;
  bool escapes = true;
  for (Field field; message.next(field);) {
    if (field.number == 2 && !field.bytes.empty()) {
      refuse("a normalization map");
    }
    if (field.number == 3) vocabulary.add_space_prefix = field.value != 0;
    if (field.number == 4) collapses = field.value != 0;
    if (field.number == 5) escapes = field.value != 0;
  }
  if (collapses) refuse("remove_extra_whitespaces");
  if (!escapes) refuse("escape_whitespaces false");
}

}  // namespace

Tokenizer read_sentencepiece_model(std::string_view bytes) {
  ScoreVocabulary vocabulary;
  std::string_view trainer;
  std::string_view normalizer;
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) {
      vocabulary.tokens.push_back(read_piece(field.bytes));
      if (vocabulary.tokens.size() >
          static_cast<std::size_t>(text::kMaxTokens)) {
        fail(fmt::format("more than {} pieces", text::kMaxTokens));
      }
    }
    if (field.number == 2) trainer = field.bytes;
    if (field.number == 3) normalizer = field.bytes;
  }
  if (vocabulary.tokens.empty()) fail("no pieces");
  read_trainer(trainer, vocabulary);
  read_normalizer(normalizer, vocabulary);
  vocabulary.add_bos = vocabulary.bos.has_value();
  return make_score_tokenizer(vocabulary);
}

}  // namespace mantissa
