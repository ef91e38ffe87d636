#include "text/decoder.h"

#include <utility>

#include "text/byte_level.h"
#include "text/characters.h"
#include "text/pieces.h"

namespace mantissa::text {
namespace {

using Steps = std::vector<std::unique_ptr<Decoder>>;

class Sequence final : public Decoder {
 public:
  explicit Sequence(Steps steps) : steps_(std::move(steps)) {}
  void apply(std::vector<std::string>& tokens) const override {
    const std::size_t limit = growth_limit(bytes_of(tokens));
    for (const auto& step : steps_) {
      step->apply(tokens);
      check_growth(bytes_of(tokens), limit, "decoder");
    }
  }

 private:
  Steps steps_;
};

void join(std::vector<std::string>& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  tokens.assign(1, std::move(all));
}

class Fuse final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { join(tokens); }
};

class ByteLevel final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      append_byte_level_bytes(token, bytes);
    }
    tokens.assign(1, replace_ill_formed(bytes));
  }
};

// Runs of <0x..> are UTF-8, or U+FFFD for each byte.
class ByteFallback final : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (is_utf8(bytes)) {
        if (!bytes.empty()) out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      const int byte = byte_of(token);
      if (byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  }

  static int byte_of(const std::string& token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
      return -1;
    }
    const int high = digit(token[3]);
    const int low = digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};

constexpr std::string_view kSupported =
    "BPEDecoder, ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, "
    "Strip, WordPiece";

}  // namespace

std::size_t bytes_of(const std::vector<std::string>& tokens) {
  std::size_t bytes = tokens.size();
  for (const std::string& token : tokens) bytes += token.size();
  return bytes;
}

std::unique_ptr<Decoder> read_decoder(const JsonObject& object) {
  const std::string type = object.text("type");
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Sequence") {
    Steps steps;
    for (const JsonObject& step : object.objects("decoders")) {
      steps.push_back(read_decoder(step));
    }
    return std::make_unique<Sequence>(std::move(steps));
  }
  auto step = read_token_decoder(object);
  if (step == nullptr) object.refuse_type(kSupported);
  return step;
}

std::unique_ptr<Decoder> make_space_decoder(bool prefix) {
  Steps steps;
  steps.push_back(make_replace_decoder("\xe2\x96\x81", " "));
  steps.push_back(std::make_unique<ByteFallback>());
  steps.push_back(std::make_unique<Fuse>());
  if (prefix) steps.push_back(make_strip_decoder(U' ', 1, 0));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace mantissa::text
