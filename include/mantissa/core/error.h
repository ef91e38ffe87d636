#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace mantissa {

/// What went wrong, in the terms of the tool's exit codes.
enum class ErrorKind {
  Unexpected = 1,  ///< a bug of ours, or an I/O failure nobody could foresee
  Usage = 2,       ///< words, rules, configs or shapes that do not fit
  Target = 3,      ///< target not writable, device or library missing
  Input = 4,       ///< malformed input, or non-finite source weights
  Quality = 5,     ///< threshold missed, or well-formed but wrong
  Skipped = 6,     ///< an eligible tensor that only a default would skip
  Resources = 7,   ///< disk or memory short
  /// Stopped by a signal; the tool exits with 128 and the signal's number.
  Interrupted = 130,
};

/// The only exception that the core half throws on purpose: a kind, which maps
/// to an exit code, and a message that names operator, argument and remedy.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}

  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// A model computes NaN or infinity where numbers are needed: Error(Input).
class NonfiniteError : public Error {
 public:
  /// `symptom`: "sampling: no logit is finite"; what() adds the two causes.
  explicit NonfiniteError(std::string symptom)
      : Error(ErrorKind::Input,
              symptom +
                  ": weights are NaN or infinite, or what is computed from "
                  "them passes the range of its dtype (that of bfloat16 and "
                  "float32 is wider than float16's)"),
        symptom_(std::move(symptom)) {}

  const std::string& symptom() const { return symptom_; }

 private:
  std::string symptom_;
};

/// The process exit code of an error kind.
int exit_code(ErrorKind kind);

}  // namespace mantissa
