#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace mantissa {

/// What a chat template may ask for besides its variables.
struct ChatOptions {
  /// The moment that strftime_now() formats, "2026-11-27" or
  /// "2026-11-27T09:30:00"; a template that asks while this is empty is
  /// refused, so that nothing depends on the clock.
  std::string date;
};

/// A chat template: Jinja as Transformers runs it (trim_blocks and
/// lstrip_blocks, break and continue, {% generation %}, tojson without HTML
/// escapes, raise_exception, strftime_now), in a sandbox of our own. Templates
/// change nothing but their own variables and namespaces, include nothing,
/// reach no attribute that begins with `_`, and stop at limits of steps, depth
/// and output. Immutable, safe to use from several threads at once.
class ChatTemplate {
 public:
  struct Program;

  /// Parses a template. Throws Error(Input) "chat template, line 3: ..." for
  /// what is malformed, Error(Usage) for constructs that are not supported.
  explicit ChatTemplate(std::string_view source);

  /// Runs it. `variables` is a JSON object: `messages` (objects with `role` and
  /// `content`), `add_generation_prompt`, `bos_token`, ... Throws Error(Usage)
  /// with the line where the template fails, asks for what is not supported, or
  /// calls raise_exception(); Error(Input) when `variables` is no JSON object;
  /// Error(Resources) at a limit.
  std::string render(std::string_view variables,
                     const ChatOptions& options = {}) const;

 private:
  std::shared_ptr<const Program> program_;
};

}  // namespace mantissa
