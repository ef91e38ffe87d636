#include <mantissa/core/error.h>

namespace mantissa {

int exit_code(ErrorKind kind) { return static_cast<int>(kind); }

}  // namespace mantissa
