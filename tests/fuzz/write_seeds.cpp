// write_seeds DIRECTORY: the seeds of every target, one folder each.

#include <filesystem>
#include <fstream>
#include <iostream>

#include "fuzz/target.h"

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "usage: write_seeds DIRECTORY\n";
    return 2;
  }
  for (const auto& target : mantissa::fuzz::targets()) {
    const auto folder = std::filesystem::path(words[1]) / target.name;
    std::filesystem::create_directories(folder);
    for (const auto& seed : target.seeds()) {
      std::ofstream(folder / seed.name, std::ios::binary) << seed.bytes;
    }
  }
  return 0;
}
