#include <mantissa/configs/compressed_scheme.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "configs/rules.h"
#include "core/suggest.h"

namespace mantissa {
namespace {

constexpr std::string_view kInt8Token =
    R"({"num_bits":8,"type":"int","symmetric":true,"strategy":"token",)"
    R"("dynamic":true})";
constexpr std::string_view kFloat8Token =
    R"({"num_bits":8,"type":"float","symmetric":true,"strategy":"token",)"
    R"("dynamic":true})";
constexpr std::string_view kFloat8Group =
    R"({"num_bits":8,"type":"float","symmetric":true,"strategy":"group",)"
    R"("group_size":128,"dynamic":true})";

// Presets of compressed-tensors that this version does not make.
constexpr std::string_view kLater[] = {"NVFP4A16",
                                       "NVFP4",
                                       "MXFP4A16",
                                       "MXFP4",
                                       "MXFP4XFP8",
                                       "MXFP6A16",
                                       "MXFP6",
                                       "MXFP8A16",
                                       "MXFP8",
                                       "W4AFP8",
                                       "W2A4",
                                       "W3A4",
                                       "W4A4"};

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  return out;
}

CompressedSpec float8_spec(CompressedStrategy strategy,
                           std::string_view activations) {
  CompressedSpec spec;
  spec.format = CompressedFormat::FloatQuantized;
  spec.num_bits = 8;
  spec.floating = true;
  spec.strategy = strategy;
  spec.input_activations = activations;
  return spec;
}

// WnA16, WnA16_ASYM and WnA8: groups of 128, packed.
std::optional<CompressedSpec> packed_preset(std::string_view name) {
  if (name.size() < 4 || name[0] != 'W' || name[1] < '1' || name[1] > '8') {
    return std::nullopt;
  }
  CompressedSpec spec;
  spec.num_bits = name[1] - '0';
  const std::string_view rest = name.substr(2);
  if (rest == "A16") return spec;
  if (rest == "A16_ASYM") {
    spec.symmetric = false;
    return spec;
  }
  if (rest != "A8" || spec.num_bits == 1) return std::nullopt;
  spec.input_activations = kInt8Token;
  if (spec.num_bits == 8) {
    spec.format = CompressedFormat::IntQuantized;
    spec.strategy = CompressedStrategy::Channel;
  }
  return spec;
}

std::optional<CompressedSpec> preset(std::string_view name) {
  if (name == "INT8") return packed_preset("W8A8");
  if (name == "FP8_DYNAMIC") {
    return float8_spec(CompressedStrategy::Channel, kFloat8Token);
  }
  if (name == "FP8_BLOCK") {
    return float8_spec(CompressedStrategy::Block, kFloat8Group);
  }
  return packed_preset(name);
}

void refuse_later(const std::string& name) {
  if (name == "FP8") {
    throw Error(ErrorKind::Usage,
                "--scheme FP8 needs static input scales, which come from a "
                "calibration that this version does not have; use FP8_DYNAMIC, "
                "which finds them at run time");
  }
  if (std::ranges::find(kLater, name) == std::end(kLater)) return;
  throw Error(ErrorKind::Usage,
              fmt::format("--scheme {} is not available in this version; "
                          "available are {}",
                          name,
                          compressed_scheme_names()));
}

[[noreturn]] void throw_scheme_words(std::string_view words) {
  throw Error(ErrorKind::Usage,
              fmt::format("--scheme {}: expected NAME, or NAME: and after it "
                          "group_size=N, observer=minmax or observer=mse, with "
                          "a comma between them",
                          words));
}

std::int64_t parse_group_size(std::string_view words, std::string_view text) {
  std::int64_t size = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw_scheme_words(words);
  }
  return size;
}

CompressedObserver parse_observer(std::string_view words,
                                  std::string_view text) {
  for (const CompressedObserver one :
       {CompressedObserver::MinMax, CompressedObserver::Mse}) {
    if (text == name(one)) return one;
  }
  throw_scheme_words(words);
}

// One field=value of a scheme.
ConfigPtr with_scheme_field(const ConfigPtr& scheme,
                            std::string_view words,
                            std::string_view field) {
  const std::size_t equals = field.find('=');
  const std::string_view name = field.substr(0, equals);
  const std::string_view value =
      equals == field.npos ? std::string_view() : field.substr(equals + 1);
  if (name == "group_size") {
    return with_scheme_group_size(scheme, parse_group_size(words, value));
  }
  if (name != "observer") throw_scheme_words(words);
  const auto& known = dynamic_cast<const CompressedScheme&>(*scheme);
  CompressedSpec spec = known.spec();
  spec.observer = parse_observer(words, value);
  return std::make_shared<CompressedScheme>(std::string(known.type()), spec);
}

}  // namespace

CompressedScheme::CompressedScheme(std::string scheme, CompressedSpec spec)
    : scheme_(std::move(scheme)), spec_(std::move(spec)) {}

std::string CompressedScheme::to_json() const {
  nlohmann::ordered_json out;
  out["_type"] = scheme_;
  out["_version"] = 1;
  out["_data"] = nlohmann::ordered_json::parse(compressed_scheme_json(spec_));
  return out.dump();
}

void CompressedScheme::validate() const {
  if (spec_.observer == CompressedObserver::Mse && spec_.floating) {
    throw Error(ErrorKind::Usage,
                fmt::format("--scheme {}: observer=mse is for integer codes; "
                            "{} has float8",
                            scheme_,
                            scheme_));
  }
  if (spec_.strategy != CompressedStrategy::Group) return;
  rules::check_group_size(scheme_, "group_size", spec_.group_size);
}

WeightChoice CompressedScheme::choose(const Shape& shape, DType dtype) const {
  validate();
  if (auto no = rules::refuse_rank(scheme_, shape, 2)) {
    no->remedy = "keep it with --ignore, or use --format torchao";
    return *no;
  }
  if (auto no = rules::refuse_dtype(scheme_, dtype)) return *no;
  if (spec_.strategy == CompressedStrategy::Group) {
    if (auto no = rules::refuse_group(
            shape.back(), spec_.group_size, rules::common_group_sizes())) {
      return *no;
    }
  }
  if (spec_.strategy == CompressedStrategy::Block &&
      shape.back() % spec_.block_columns != 0) {
    return {nullptr,
            fmt::format("K = {} is not a multiple of the block's {} columns",
                        shape.back(),
                        spec_.block_columns),
            "use FP8_DYNAMIC, which has one scale per row"};
  }
  return {make_compressed_encoding(shape, dtype, spec_), {}, {}};
}

ConfigPtr parse_compressed_scheme(std::string_view words) {
  const std::size_t colon = words.find(':');
  const std::string name = upper(words.substr(0, colon));
  refuse_later(name);
  const std::optional<CompressedSpec> spec = preset(name);
  if (!spec) return nullptr;
  ConfigPtr scheme = std::make_shared<CompressedScheme>(name, *spec);
  if (colon == words.npos) return scheme;
  std::string_view rest = words.substr(colon + 1);
  while (true) {
    const std::size_t comma = rest.find(',');
    scheme = with_scheme_field(scheme, words, rest.substr(0, comma));
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  return scheme;
}

ConfigPtr with_scheme_group_size(const ConfigPtr& scheme,
                                 std::int64_t group_size) {
  const auto& known = dynamic_cast<const CompressedScheme&>(*scheme);
  CompressedSpec spec = known.spec();
  if (spec.strategy != CompressedStrategy::Group) {
    throw Error(ErrorKind::Usage,
                fmt::format("--group-size: {} has no groups", known.type()));
  }
  spec.group_size = group_size;
  return std::make_shared<CompressedScheme>(std::string(known.type()),
                                            std::move(spec));
}

std::string nearest_compressed_scheme(std::string_view words) {
  std::vector<std::string> names = {"INT8", "FP8_DYNAMIC", "FP8_BLOCK"};
  for (char bits = '1'; bits <= '8'; ++bits) {
    for (const char* rest : {"A16", "A16_ASYM", "A8"}) {
      const std::string known = std::string("W") + bits + rest;
      if (preset(known)) names.push_back(known);
    }
  }
  return nearest_name(upper(words.substr(0, words.find(':'))), names);
}

std::string_view compressed_scheme_names() {
  return "W1A16 to W8A16, each also with _ASYM, W2A8 to W8A8 (INT8), "
         "FP8_DYNAMIC and FP8_BLOCK";
}

}  // namespace mantissa
