#pragma once

#include <filesystem>

namespace mantissa {

/// Removes a file, a link, or a directory with all that is in it; nothing there
/// is no error. Links are removed and never followed, whoever makes them
/// meanwhile; a tree of any depth takes three file handles. Throws
/// Error(Target) naming the first entry that cannot be removed and why; what
/// was removed before stays removed.
///
/// Not std::filesystem::remove_all: libtorch.so exports a copy of it that
/// crashes, and takes its place in programs that link libtorch.
void remove_tree(const std::filesystem::path& path);

}  // namespace mantissa
