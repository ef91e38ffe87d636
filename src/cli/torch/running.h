#pragma once

#include <exception>
#include <new>
#include <span>
#include <string>

#include <c10/util/Exception.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/torch/model_loading.h>

#include "cli/model_options.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa::cli {

/// The library's options for the words; sets the threads of libtorch. Throws
/// Error(Usage) for a size that is none.
ModelOptions model_options(const ModelWords& words);

/// The cache's dtype that the words ask for, or the usual one.
c10::ScalarType cache_dtype(const ModelOptions& options);

/// A cache's dtype as --kv-cache-dtype spells it.
std::string cache_name(c10::ScalarType dtype);

/// A line about the weights that the file has quantized: how many multiply as
/// stored, and which are decoded and why; "" where there are none.
std::string weights_line(const DecoderCheckpoint& checkpoint);

/// The same: {"multiplied": {"Q4_0": 180}, "decoded": [{"stored": "Q6_K",
/// "count": 1, "reason": ".."}]}.
nlohmann::ordered_json weights_json(const DecoderCheckpoint& checkpoint);

/// A NonfiniteError as the tool tells it, Error(Input): with the first weight
/// whose values are wrong in the files of these models, which are read for it,
/// or with what to compute in instead.
[[noreturn]] void throw_nonfinite(const NonfiniteError& error,
                                  const ModelWords& words,
                                  std::span<const std::string> models);

/// Runs `compute`, which may throw NonfiniteError because of these models.
template <class Compute>
auto with_finite_weights(const ModelWords& words,
                         std::span<const std::string> models,
                         const Compute& compute) {
  try {
    return compute();
  } catch (const NonfiniteError& error) {
    throw_nonfinite(error, words, models);
  }
}

/// Asked between steps: Ctrl-C.
bool interrupted();

/// Runs a command; what libtorch throws becomes an Error.
template <class Command>
int with_tool_errors(const Command& command) {
  try {
    return command();
  } catch (const RefusedByCore& error) {
    throw Error(error.kind(), error.what_without_backtrace());
  } catch (const c10::ValueError& error) {
    throw Error(ErrorKind::Usage, error.what_without_backtrace());
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorKind::Resources, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    const bool memory = what.find("not enough memory") != what.npos;
    throw Error(memory ? ErrorKind::Resources : ErrorKind::Unexpected, what);
  }
}

}  // namespace mantissa::cli
