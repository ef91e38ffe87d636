#pragma once

#include <filesystem>
#include <vector>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// The files of a Hugging Face directory that belong beside its weights:
/// tokenizer, chat templates, generation and processor configs, the modules of
/// sentence-transformers, licence and README. Never the weights of this
/// checkpoint, other weight formats, pickles or code. Sorted by name.
std::vector<Companion> find_companions(const std::filesystem::path& root);

}  // namespace mantissa
