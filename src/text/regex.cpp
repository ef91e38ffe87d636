#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa::text {
namespace {

// A search of real text needs a few steps a byte, and a match of it fewer than
// the first limit: one that needs more is tried again with a higher one.
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kFirstLimit = 64;
constexpr std::uint32_t kLimitFactor = 16;
constexpr std::uint64_t kStepsOfByte = 256;
constexpr std::uint64_t kStepsOfMatcher = 1024;
constexpr std::uint32_t kHeapLimit = 64 * 1024;  // KiB
constexpr std::size_t kJitStack = 1024 * 1024;
constexpr std::size_t kFirstJitStack = 32 * 1024;

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    kFree(p);
  }
};

template <typename T, auto kFree>
using Owned = std::unique_ptr<T, Freer<kFree>>;

using Compiled = Owned<pcre2_code, pcre2_code_free>;

Compiled compile(const std::string& pattern, const std::string& place) {
  const Owned<pcre2_compile_context, pcre2_compile_context_free> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Compiled code(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()),
      pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
      &error,
      &offset,
      context.get()));
  if (code == nullptr) {
    throw Error(
        ErrorKind::Input,
        fmt::format("{}: no regular expression: {}", place, message_of(error)));
  }
  // Without the just-in-time compiler the interpreter does the same.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

thread_local RegexBudget* current_budget = nullptr;

}  // namespace

struct Regex::Code {
  Compiled compiled;
};

Regex::Regex(std::string_view pattern, std::string place)
    : place_(std::move(place)),
      code_(std::make_shared<const Code>(
          compile(translate_regex(pattern, place_), place_))) {}

struct RegexMatcher::State {
  Owned<pcre2_match_context, pcre2_match_context_free> context;
  Owned<pcre2_jit_stack, pcre2_jit_stack_free> stack;
  Owned<pcre2_match_data, pcre2_match_data_free> data;
};

RegexBudget::RegexBudget(std::size_t bytes)
    : left_(kMatchLimit + kStepsOfByte * bytes), outer_(current_budget) {
  current_budget = this;
}

RegexBudget::~RegexBudget() { current_budget = outer_; }

bool RegexBudget::take(std::uint64_t steps) {
  RegexBudget* budget = current_budget;
  if (budget == nullptr) return true;
  const bool enough = steps <= budget->left_;
  budget->left_ = enough ? budget->left_ - steps : 0;
  return enough;
}

RegexMatcher::RegexMatcher(const Regex& regex)
    : regex_(regex), state_(std::make_unique<State>()) {
  if (!RegexBudget::take(kStepsOfMatcher)) {
    give_up("", PCRE2_ERROR_MATCHLIMIT);
  }
  state_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_heap_limit(state_->context.get(), kHeapLimit);
  state_->stack.reset(
      pcre2_jit_stack_create(kFirstJitStack, kJitStack, nullptr));
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
  state_->data.reset(pcre2_match_data_create(1, nullptr));
}

RegexMatcher::~RegexMatcher() = default;

void RegexMatcher::give_up(std::string_view text, int error) const {
  throw Error(ErrorKind::Input,
              fmt::format("{}: gave up on a text of {} bytes: {}",
                          regex_.place(),
                          text.size(),
                          message_of(error)));
}

int RegexMatcher::search(std::string_view text, std::size_t from) {
  for (std::uint32_t limit = kFirstLimit;; limit *= kLimitFactor) {
    limit = std::min(limit, kMatchLimit);
    if (!RegexBudget::take(limit)) return PCRE2_ERROR_MATCHLIMIT;
    pcre2_set_match_limit(state_->context.get(), limit);
    const int found = pcre2_match(regex_.code().compiled.get(),
                                  reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(),
                                  from,
                                  PCRE2_NO_UTF_CHECK,
                                  state_->data.get(),
                                  state_->context.get());
    if (found != PCRE2_ERROR_MATCHLIMIT || limit == kMatchLimit) return found;
  }
}

void RegexMatcher::find_all(std::string_view text, std::vector<Span>& out) {
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state_->data.get());
  std::size_t at = 0;
  std::size_t last_end = std::string_view::npos;
  while (at <= text.size()) {
    const int found = search(text, at);
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0) give_up(text, found);
    const bool empty = ends[0] >= ends[1];
    // An empty match right after another one is none.
    if (!empty || ends[1] != last_end) out.push_back({ends[0], ends[1]});
    last_end = ends[1];
    at = ends[1];
    if (!empty) continue;
    ++at;
    while (at < text.size() &&
           (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) {
      ++at;
    }
  }
}

}  // namespace mantissa::text
