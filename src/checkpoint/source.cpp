#include <mantissa/checkpoint/source.h>

namespace mantissa {

void CheckpointSource::read_stored_rows(std::size_t index,
                                        std::int64_t row,
                                        std::int64_t rows,
                                        std::span<std::byte> out) const {
  read_rows(index, row, rows, out);
}

}  // namespace mantissa
