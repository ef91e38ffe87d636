#include "support/hostile_files.h"
#include "support/small_tokenizer_json.h"

namespace mantissa::support {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string component(std::string_view key, std::string_view json) {
  return small_json(", \"" + std::string(key) + "\": " + std::string(json));
}

// A Sequence of so many equal steps, written under `list`.
std::string sequence(std::string_view list,
                     std::string_view step,
                     std::size_t times) {
  std::string out = R"({"type": "Sequence", ")" + std::string(list) + "\": [";
  for (std::size_t i = 0; i < times; ++i) {
    out += (i == 0 ? "" : ",") + std::string(step);
  }
  return out + "]}";
}

constexpr std::string_view kWhitespace = R"({"type": "Whitespace"})";
constexpr std::string_view kTwentyfold =
    R"({"type": "Replace", "pattern": {"String": "a"},
        "content": "aaaaaaaaaaaaaaaaaaaa"})";

// So many added tokens, which kTwentyfold makes 1000 bytes long.
std::string added_tokens(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += (i == 0 ? "" : ",") + (R"({"id":)" + std::to_string(i + 10)) +
           R"(,"normalized":true,"content":")" + std::string(49, 'a') +
           std::to_string(100'000 + i) + "\"}";
  }
  return out;
}

// A TemplateProcessing with so many ids in front.
std::string template_of(int count) {
  std::string ids;
  for (int i = 0; i < count; ++i) ids += i == 0 ? "0" : ",0";
  return R"({"type": "TemplateProcessing", "single": [{"SpecialToken":
             {"id": "a"}}, {"Sequence": {"id": "A"}}],
             "special_tokens": {"a": {"ids": [)" +
         ids + "]}}}";
}

std::string nested_sequences(int depth) {
  std::string deep = sequence("normalizers", "", 0);
  for (int i = 0; i < depth; ++i) deep = sequence("normalizers", deep, 1);
  return deep;
}

std::vector<HostileFile> unsupported_tokenizers() {
  const auto typed = [](std::string_view name,
                        std::string_view key,
                        const std::string& type,
                        const std::string& says) {
    return HostileFile{std::string(name),
                       component(key, "{\"type\": \"" + type + "\"}"),
                       says,
                       "\"" + type + "\" is not supported; supported are",
                       ErrorKind::Usage};
  };
  return {
      typed("Normalizer", "normalizer", "Nmt", "tokenizer.json.normalizer"),
      typed("PreTokenizer", "pre_tokenizer", "Magic", "pre_tokenizer.type"),
      typed("Decoder", "decoder", "CTC", "decoder.type"),
      typed("PostProcessor", "post_processor", "Odd", "post_processor.type"),
      {"Unigram",
       R"({"model": {"type": "Unigram", "vocab": []}})",
       "\"Unigram\" is not supported",
       "supported are BPE and WordPiece",
       ErrorKind::Usage},
      {"Dropout",
       small_json("", R"("dropout": 0.1,)"),
       "dropout",
       "",
       ErrorKind::Usage},
      {"Regex",
       component("pre_tokenizer",
                 R"({"type": "Split", "behavior": "Isolated",
                     "pattern": {"Regex": "(*COMMIT)a"}})"),
       "'(*' in the regular expression",
       "is not supported",
       ErrorKind::Usage},
  };
}

std::vector<HostileFile> malformed_tokenizers() {
  return {
      {"Array", "[]", "an object"},
      {"Empty", "{}", "tokenizer.json.model: missing"},
      {"SameId",
       R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}})",
       "have the same id 0"},
      {"IdOutside",
       R"({"model": {"type": "BPE", "vocab": {"a": 4000000}, "merges": []}})",
       "id 4000000 with 1 tokens"},
      {"MergeOfNone",
       R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})",
       "merge 0: \"b\" is no token"},
      {"Deep",
       component("normalizer", nested_sequences(40)),
       "nested deeper than 32 levels"},
      {"AddedTwice",
       small_json(R"(, "added_tokens": [{"id": 1, "content": "x"}])"),
       "id 1 for \"x\" contradicts another token"},
      {"NotRegex",
       component("pre_tokenizer",
                 R"x({"type": "Split", "behavior": "Isolated",
                      "pattern": {"Regex": "a)"}})x"),
       "no regular expression"},
      {"ManySteps",
       component(
           "pre_tokenizer",
           sequence(
               "pretokenizers", sequence("pretokenizers", kWhitespace, 64), 3)),
       "tokenizer.json.pre_tokenizer: more than 128 steps"},
      {"LongReplacement",
       component("decoder",
                 R"({"type": "Replace", "pattern": {"String": "a"},
                     "content": "123456789 123456789 1"})"),
       "decoder.content: longer than 20 bytes"},
      {"AroundOutside",
       component("post_processor",
                 R"({"type": "BertProcessing", "sep": ["x", 7],
                     "cls": ["a", 0]})"),
       "token 7 is not in the vocabulary, which has 7"},
      {"ManyAround",
       component("post_processor", sequence("processors", template_of(600), 2)),
       "more than 1024 tokens around a text"},
      {"AddedBytes",
       small_json(R"(, "normalizer": )" + std::string(kTwentyfold) +
                  R"(, "added_tokens": [)" + added_tokens(4300) + "]"),
       "added_tokens: more than 4194304 bytes in all"},
  };
}

// Sound by themselves: a short text or a few tokens are too much for them.
std::vector<HostileFile> endless_tokenizers() {
  return {
      {"Grows",
       component("normalizer",
                 sequence("normalizers",
                          R"({"type": "Replace", "pattern": {"String": "a"},
                              "content": "aaaaaaaa"})",
                          20)),
       "normalizer: a text grows more than 20 times"},
      {"BytesOfBytes",
       component("pre_tokenizer",
                 sequence("pretokenizers",
                          R"({"type": "ByteLevel", "add_prefix_space": false,
                              "use_regex": false})",
                          64)),
       "pre_tokenizer: a text grows more than 20 times"},
      {"DecodedGrows",
       component("decoder", sequence("decoders", kTwentyfold, 20)),
       "decoder: a text grows more than 20 times"},
      // Each search stays within its own limit.
      {"SlowSearches",
       component("pre_tokenizer",
                 sequence("pretokenizers",
                          R"x({"type": "Split", "behavior": "Isolated",
                              "pattern": {"Regex": "(?:a|a)+(?=[xyz])"}})x",
                          64)),
       "gave up on a text of"},
  };
}

std::string piece() {
  return std::string(
      "\x0a\x03\x0a\x01"
      "a",
      5);
}

// Chains of operators inside parentheses: as deep as it is long.
std::string deep_tree() {
  std::string tree = "1";
  for (int i = 0; i < 60; ++i) {
    tree = "(" + tree + repeated("+1", 250) + repeated("~1", 250) +
           repeated("*1", 250) + repeated(" and 1", 250) + ")";
  }
  return "{{ " + tree + " }}";
}

std::string looped(std::string_view body, std::string_view value = "'x'") {
  return "{% set n = namespace(s=" + std::string(value) +
         ") %}{% for i in range(9999) %}{% set n.s = " + std::string(body) +
         " %}{% endfor %}{{ n.s }}";
}

std::string many_names() {
  std::string out = "{% set n = 0 %}";
  for (int i = 0; i < 20'000; ++i) {
    out += "{%set a" + std::to_string(i) + "=1%}";
  }
  return out + "{% for i in range(9999) %}{{ n }}" + repeated("{{ q }}", 200) +
         "{% endfor %}";
}

std::string many_keys() {
  std::string out = "{{ {";
  for (int i = 0; i < 60'000; ++i) out += "'" + std::to_string(i) + "':1,";
  return out + "} | length }}";
}

HostileFile limited(std::string name,
                    std::string bytes,
                    std::string says = "the limits are") {
  return {std::move(name),
          std::move(bytes),
          std::move(says),
          "",
          ErrorKind::Resources};
}

std::vector<HostileFile> long_loops() {
  return {
      limited("Loops",
              "{% for a in range(9999) %}{% for b in range(9999) %}"
              "{% endfor %}{% endfor %}"),
      limited("ManyLoops",
              repeated("{% for a in range(99999) %}", 20) +
                  repeated("{% endfor %}", 20)),
      limited("Doubling",
              "{% set n = namespace(s='xxxxxxxx') %}"
              "{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
              "{% endfor %}"),
      limited("Product", "{{ 'abcdefgh' * 1000000000 }}"),
      limited("MapOfMaps",
              "{{ 'a' | map(" + repeated("'map',", 5000) + "'upper') }}",
              "nests too deeply"),
      limited("Recursion",
              "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
              "nests too deeply"),
  };
}

// Small templates that make much.
std::vector<HostileFile> growing_values() {
  return {
      // 2 to the power of 9999 items, and as many levels.
      limited("SharedLists", looped("[n.s, n.s]")),
      limited("SharedDicts", looped("{'a': n.s, 'b': n.s}")),
      limited("DeepLists", looped("[n.s]")),
      limited("DeepMethods", looped("{'a': n.s}.items")),
      limited("SharedEqual",
              looped("[n.s, n.s]", "[[1, 2], [1, 2]] == [[1, 2], [1, 2]]")),
      limited("Sums", looped("n.s + n.s", "[1, 2]")),
  };
}

// Much work at each step.
std::vector<HostileFile> costly_steps() {
  return {
      limited("BigText",
              "{% set b = 'x' * 9999999 %}{% for i in range(9999) %}"
              "{% set c = b | upper %}{% endfor %}"),
      limited("BigSlices",
              "{% set b = 'x' * 3999999 %}{% for i in range(9999) %}"
              "{% set c = b[::-1] %}{% endfor %}"),
      limited("Characters", "{% for c in 'x' * 9999999 %}{% endfor %}"),
      limited("Split", "{{ ('a,' * 5000000).split(',') | length }}"),
      limited("Join", "{{ range(9999) | join('x' * 99999) }}"),
      limited("Sort",
              "{{ range(99999) | map('string') | sort(reverse=true) | "
              "map('replace', '1', 'y' * 999) | sort | list | length }}"),
      limited("Unique", "{{ range(99999) | unique | list | length }}"),
      limited("Separators",
              "{{ range(9999) | list | tojson(separators=('x' * 9999, '')) }}"),
      limited("Path",
              "{{ range(9999) | map('string') | map(attribute='0" +
                  repeated(".0", 9999) + "') | list }}"),
      limited("ManyNames", many_names()),
      limited("ManyKeys", many_keys()),
      limited("MacroArguments",
              "{% macro f(" + repeated("a,", 2000) +
                  "b) %}{% endmacro %}"
                  "{% for i in range(9999) %}{{ f() }}{% endfor %}"),
      limited("Copies",
              "{% set d = dict(messages[0]) %}{% set n = namespace(l=[]) %}"
              "{% for i in range(99999) %}{% set n.l = n.l + [i] %}"
              "{% endfor %}"),
  };
}

}  // namespace

std::vector<HostileFile> hostile_tokenizers() {
  return joined(
      {unsupported_tokenizers(), malformed_tokenizers(), endless_tokenizers()});
}

std::vector<HostileFile> hostile_sentencepiece() {
  const std::string bpe = "\x12\x02\x18\x02";
  // The same without BOS and EOS.
  const std::string minus = std::string(9, '\xff') + "\x01";
  const std::string bare =
      "\x12\x1a\x18\x02\xc8\x02" + minus + "\xd0\x02" + minus;
  return {
      {"Empty", "", "no pieces"},
      {"CutOff", "\x0a\x7f", "cut off"},
      {"LongNumber", std::string(12, '\xff'), "more than 10 bytes"},
      {"WireType", "\x0b", "unknown wire type"},
      {"Unigram",
       piece() + "\x12\x02\x18\x01",
       "type unigram; supported are models of type BPE",
       "",
       ErrorKind::Usage},
      {"NormalizationMap",
       piece() + bpe + "\x1a\x03\x12\x01x",
       "a normalization map",
       "",
       ErrorKind::Usage},
      {"ExtraSpaces",
       piece() + bpe,
       "remove_extra_whitespaces",
       "",
       ErrorKind::Usage},
      {"Escapes",
       piece() + bpe + std::string("\x1a\x04\x20\x00\x28\x00", 6),
       "escape_whitespaces",
       "",
       ErrorKind::Usage},
      {"Type",
       std::string("\x0a\x05\x0a\x01"
                   "a\x18\x09",
                   7),
       "a piece of unknown type"},
      {"Score",
       std::string("\x0a\x05\x0a\x01"
                   "a\x10\x01",
                   7),
       "a score that is no float"},
      {"Twice",
       piece() + piece() + bare + std::string("\x1a\x02\x20\x00", 4),
       "appears twice"},
      {"NotUtf8",
       std::string("\x0a\x03\x0a\x01\xff", 5) + bare +
           std::string("\x1a\x02\x20\x00", 4),
       "is not UTF-8"},
      {"IdOutside",
       piece() + bpe + std::string("\x1a\x02\x20\x00", 4),
       "lies outside its 1 tokens"},
  };
}

std::vector<HostileFile> hostile_chat_templates() {
  const std::string deep =
      "{{ " + repeated("(", 100'000) + "1" + repeated(")", 100'000) + " }}";
  return {
      {"TagOpen", "a\n{% if x\n b", "line 3: a tag without '%}'"},
      {"Unexpected", "a\n{% if x\n b %}", "line 3: unexpected \"b\""},
      {"NotUtf8", "\xff", "not UTF-8"},
      {"TooLong", std::string((1u << 20) + 1, 'x'), "1048577 bytes, at most"},
      {"Block",
       "\n{% block x %}",
       "line 2: {% block %} is not supported; supported are",
       "",
       ErrorKind::Usage},
      {"Raise",
       "a\nb{{ raise_exception('why') }}",
       "line 2: the template refuses the conversation: why",
       "",
       ErrorKind::Usage},
      {"Filter",
       "{{ x | rot13 }}",
       "\"rot13\" is not supported; supported are abs",
       "",
       ErrorKind::Usage},
      {"Private", "{{ ''.__class__ }}", "begins with _", "", ErrorKind::Usage},
      {"Append",
       "{{ messages.append(1) }}",
       "append() is refused",
       "",
       ErrorKind::Usage},
      {"Deep", deep, "nest deeper than 64 levels"},
      {"Chain",
       "{{ 1" + repeated("+1", 1000) + " }}",
       "more than 256 operators"},
      {"DeepTree", deep_tree(), "an expression nests deeper than 1000 levels"},
      {"StripSet",
       "{{ 'x'.strip('ab' * 200) }}",
       "more than 256 bytes of characters",
       "",
       ErrorKind::Usage},
      {"Unordered",
       "{{ [1, 'a'] | sort }}",
       "have no order",
       "a string",
       ErrorKind::Usage},
      {"DeepBlocks",
       repeated("{% if 1 %}", 100) + repeated("{% endif %}", 100),
       "blocks nest deeper than 64 levels"},
  };
}

std::vector<HostileFile> endless_chat_templates() {
  return joined({long_loops(), growing_values(), costly_steps()});
}

}  // namespace mantissa::support
