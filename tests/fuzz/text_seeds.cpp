// Seeds of the targets that read texts: every component once, and every class
// that is refused.
#include <cstring>
#include <utility>

#include "fuzz/target.h"
#include "support/hostile_files.h"
#include "support/small_tokenizer_json.h"

namespace mantissa::fuzz {
namespace {

using support::HostileFile;
using support::small_json;

void append_refused(std::vector<Seed>& to,
                    const std::vector<HostileFile>& files) {
  for (const HostileFile& file : files) to.push_back({file.name, file.bytes});
}

void accept(std::vector<Seed>& to, std::string name, std::string bytes) {
  to.push_back({std::move(name), std::move(bytes), Outcome::Accepted});
}

using Row = std::pair<const char*, const char*>;

constexpr Row kNormalizers[] = {
    {"bert", R"({"type":"BertNormalizer","lowercase":true})"},
    {"byte_level", R"({"type":"ByteLevel"})"},
    {"lowercase", R"({"type":"Lowercase"})"},
    {"nfc", R"({"type":"NFC"})"},
    {"nfkd", R"({"type":"NFKD"})"},
    {"llama",
     R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},)"
     R"({"type":"Replace","pattern":{"String":" "},"content":"_"}]})"},
    {"replace",
     R"({"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "})"},
    {"strip", R"({"type":"Strip","strip_left":true,"strip_right":true})"},
    {"accents", R"({"type":"StripAccents"})"},
};

constexpr Row kPreTokenizers[] = {
    {"bert", R"({"type":"BertPreTokenizer"})"},
    {"byte_level",
     R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})"},
    {"delimiter", R"({"type":"CharDelimiterSplit","delimiter":"e"})"},
    {"metaspace",
     R"({"type":"Metaspace","replacement":"_","prepend_scheme":"first",)"
     R"("split":true})"},
    {"punctuation", R"({"type":"Punctuation","behavior":"Isolated"})"},
    {"smollm",
     R"({"type":"Sequence","pretokenizers":[{"type":"Digits",)"
     R"("individual_digits":true},{"type":"ByteLevel",)"
     R"("add_prefix_space":false}]})"},
    {"split",
     R"({"type":"Split","pattern":{"Regex":"(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+)"
     R"(|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},"behavior":"MergedWithNext",)"
     R"("invert":false})"},
    {"whitespace", R"({"type":"Whitespace"})"},
    {"whitespace_split", R"({"type":"WhitespaceSplit"})"},
};

constexpr Row kDecoders[] = {
    {"bpe", R"({"type":"BPEDecoder","suffix":"</w>"})"},
    {"byte_level", R"({"type":"ByteLevel"})"},
    {"llama",
     R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":)"
     R"({"String":"_"},"content":" "},{"type":"ByteFallback"},)"
     R"({"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})"},
    {"metaspace",
     R"({"type":"Metaspace","replacement":"_","add_prefix_space":true})"},
    {"word_piece", R"({"type":"WordPiece","prefix":"##","cleanup":true})"},
};

constexpr Row kPostProcessors[] = {
    {"bert", R"({"type":"BertProcessing","sep":["b",1],"cls":["a",0]})"},
    {"roberta", R"({"type":"RobertaProcessing","sep":["b",1],"cls":["a",0]})"},
    {"template",
     R"({"type":"Sequence","processors":[{"type":"ByteLevel"},)"
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}},)"
     R"({"Sequence":{"id":"A"}}],"special_tokens":{"a":{"id":"a",)"
     R"("ids":[0],"tokens":["a"]}}}]})"},
};

template <std::size_t kCount>
void append_components(std::vector<Seed>& to,
                       const std::string& key,
                       const Row (&rows)[kCount]) {
  for (const auto& [name, json] : rows) {
    accept(to, key + "_" + name, small_json(",\"" + key + "\":" + json));
  }
}

void append_models(std::vector<Seed>& to) {
  accept(to, "bpe", small_json());
  accept(to,
         "bpe_config",
         small_json() + std::string(1, '\0') +
             R"({"bos_token":"a","eos_token":{"content":"b"}})");
  accept(to,
         "bpe_options",
         R"({"model":{"vocab":{"<unk>":0,"<0x61>":1,"##b":2,"c</w>":3,"a":4,)"
         R"("a##b":5,"ab":6},"merges":[["a","##b"]],"unk_token":"<unk>",)"
         R"("fuse_unk":true,"byte_fallback":true,"ignore_merges":true,)"
         R"("continuing_subword_prefix":"##","end_of_word_suffix":"</w>"}})");
  accept(to,
         "word_piece",
         R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"c":1,"##a":2,)"
         R"("##t":3},"unk_token":"[UNK]","max_input_chars_per_word":100}})");
  accept(
      to,
      "added_tokens",
      small_json(R"(,"added_tokens":[{"id":9,"content":"<s>","special":true,)"
                 R"("normalized":false},{"id":8,"content":"cat","lstrip":)"
                 R"(true,"rstrip":true,"single_word":true}])"));
  to.push_back({"config_token",
                small_json() + std::string(1, '\0') + R"({"bos_token":"x"})"});
  to.push_back({"config_array", small_json() + std::string(1, '\0') + "[]"});
}

// A piece of a ModelProto.
std::string piece(std::string_view text, float score, char kind) {
  std::string body = "\x0a" + std::string(1, static_cast<char>(text.size())) +
                     std::string(text) + "\x15";
  char bytes[sizeof(score)];
  std::memcpy(bytes, &score, sizeof(score));
  body.append(bytes, sizeof(score));
  body += std::string("\x18") + kind;
  return "\x0a" + std::string(1, static_cast<char>(body.size())) + body;
}

std::string model(std::string_view pieces, std::string_view trainer = "") {
  return std::string(pieces) + "\x12" +
         std::string(1, static_cast<char>(trainer.size() + 2)) + "\x18\x02" +
         std::string(trainer) +
         std::string("\x1a\x06\x18\x01\x20\x00\x28\x01", 8);
}

std::string small_pieces() {
  std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) +
                    piece("</s>", 0, 3) + piece("<0x0A>", 0, 6);
  float score = 0;
  for (const char* text : {"\xe2\x96\x81",
                           "a",
                           "c",
                           "t",
                           "ca",
                           "at",
                           "cat",
                           "\xe2\x96\x81"
                           "cat",
                           "\xe2\x96\x81"
                           "c"}) {
    out += piece(text, score--, 1);
  }
  return out + piece("123", -3.5F, 4) + piece("unused", -9, 5);
}

constexpr Row kTemplates[] = {
    {"chatml",
     "{% for message in messages %}{% if loop.first and messages[0]['role'] != "
     "'system' %}{{ '<|im_start|>system\nHello<|im_end|>\n' }}{% endif %}"
     "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
     "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
     "{{ '<|im_start|>assistant\n' }}{% endif %}"},
    {"llama3",
     "{{- bos_token }}\n{%- if tools is not none %}{{- '# Tools\\n' }}"
     "{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}{%- endif %}"
     "{%- set date = strftime_now('%d %b %Y') %}{{- date }}"},
    {"reverse",
     "{% set ns = namespace(last=-1, found=false) %}{% for m in "
     "messages[::-1] %}{% set index = (messages|length - 1) - loop.index0 %}"
     "{% if not ns.found and m.role == \"user\" %}{% set ns.found = true %}"
     "{% set ns.last = index %}{% endif %}{% endfor %}{{ ns.last }}"},
    {"think",
     "{% for m in messages %}{% if '</think>' in m.content %}{{ "
     "m.content.split('</think>')[-1].lstrip('\\n') }}{% else %}{{ "
     "m.content | trim | upper }}{% endif %}{% endfor %}"},
    {"macro",
     "{% macro show(x, deep=1) %}{% if x is mapping %}{% for k, v in x.items() "
     "%}{{ k }}={{ show(v, deep + 1) }};{% endfor %}{% elif x is iterable and "
     "x "
     "is not string %}[{% for v in x %}{{ show(v) }}{% endfor %}]{% else %}"
     "{{ x }}{% endif %}{% endmacro %}{{ show(messages[2]) }}"},
    {"filters",
     "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute="
     "'content') | join(', ') }}{{ messages | rejectattr('tool_calls') | list "
     "| length }}{{ 'b a c'.split() | sort(reverse=true) | unique | last }}"
     "{{ messages | map('length') | list }}{{ 'ab' | capitalize | replace('a', "
     "'b') | reverse }}{{ '-3' | int | abs }}{{ {'a': 1} | items | first }}"},
    {"operators",
     "{{ 7 // 2 ** 3 % 5 - -1.5e3 / 2 }}{{ 1 < 2 <= 2 != 3 }}{{ 'a' ~ 1 ~ "
     "[1, (2,), {'x': none}] }}{{ 'x' if false else ('y' or z) }}{{ 1 in [1] "
     "and 2 not in (3, 4) }}"},
    {"tests",
     "{{ 3 is odd }}{{ x is defined }}{{ 'a' is string }}{{ 4 is divisibleby 2 "
     "}}{{ 2 is in [1, 2] }}{{ none is none }}{{ 1.0 is sameas 1 }}"},
    {"control",
     "{#- a comment -#}{% for a, b in [[1, 2], [3, 4]] if a > 1 %}{{ loop.last "
     "}}{% continue %}{% else %}none{% endfor %}{% for i in range(1, 9, 2) "
     "%}{% "
     "if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}{% set x %}block"
     "{% endset %}{% generation %}{{ x }}{% endgeneration %}"},
    {"text",
     "{{ 'a-b-c'.rsplit('-', 1) }}{{ ' x '.strip() }}{{ 'abc'[1:] ~ 'abc'[::-1]"
     " }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'a'.upper().find('A') }}{{ "
     "\"\\u00e9\\x41\\n\" | tojson }}"},
};

}  // namespace

std::vector<Seed> tokenizer_json_seeds() {
  std::vector<Seed> out;
  append_refused(out, support::hostile_tokenizers());
  append_models(out);
  append_components(out, "normalizer", kNormalizers);
  append_components(out, "pre_tokenizer", kPreTokenizers);
  append_components(out, "decoder", kDecoders);
  append_components(out, "post_processor", kPostProcessors);
  return out;
}

std::vector<Seed> tokenizer_model_seeds() {
  std::vector<Seed> out;
  append_refused(out, support::hostile_sentencepiece());
  accept(out, "good", model(small_pieces()));
  // unk_id 0, bos_id -1, eos_id 2.
  accept(out,
         "no_bos",
         model(small_pieces(),
               "\xc8\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  accept(out,
         "other_fields",
         "\x22\x01x\x2d\x01\x02\x03\x04\x31\x01\x02\x03\x04\x05\x06\x07\x08" +
             model(small_pieces()));
  return out;
}

std::vector<Seed> chat_template_seeds() {
  std::vector<Seed> out;
  append_refused(out, support::hostile_chat_templates());
  append_refused(out, support::endless_chat_templates());
  for (const auto& [name, text] : kTemplates) accept(out, name, text);
  return out;
}

}  // namespace mantissa::fuzz
