# Prints files over 800 lines, and functions at namespace level over 60 lines
# (150 in .cu files). clang-tidy counts the others.
function close_file() {
  if (lines > 800) print file ": " lines " lines, 800 is the end"
}

FNR == 1 {
  if (file != "") close_file()
  file = FILENAME
  limit = file ~ /\.cuh?$/ ? 150 : 60
  start = 0
}

{ lines = FNR }

# A body opens at the end of a line that starts in column 1 or continues one.
/^[A-Za-z_~\[]/ && !/^(namespace|struct|class|enum|union|extern|using)/ {
  start = FNR
  name = $0
}
/^(template|}|#|namespace|struct|class|enum|union|extern)/ && !/^}/ {
  if (!/^template/) start = 0
}
/^}/ {
  if (start && FNR - start + 1 > limit && !/^};/) {
    print file ":" start ": " FNR - start + 1 " lines, " limit \
      " at most: " name
  }
  start = 0
}

END { close_file() }
