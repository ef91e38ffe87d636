# Reads C++ files of src/ and include/; prints every include that points
# against the order of the rooms (style, section 1).
BEGIN {
  rank["core"] = 0
  rank["primitives"] = 1
  rank["kernels"] = 2
  rank["formats"] = 3
  rank["configs"] = 4
  rank["checkpoint"] = 5
  rank["text"] = 5  # includes nothing but core
  rank["torch"] = 6
  rank["cli"] = 7
}

function room_of(path, parts, count) {
  count = split(path, parts, "/")
  if (parts[1] == "src") return parts[2]
  return count > 3 ? parts[3] : "all"  # include/mantissa/core.h: all of it
}

FNR == 1 {
  room = room_of(FILENAME)
  public = FILENAME ~ /^include\//
  torch = FILENAME ~ /^src\/(torch|cli\/torch)\// ||
          FILENAME ~ /^include\/mantissa\/(torch\/|mantissa\.h)/
  if (room != "all" && !(room in rank)) {
    print FILENAME ": unknown room '" room "'"
  }
}

/^[ \t]*#[ \t]*include/ {
  match($0, /[<"][^>"]*[>"]/)
  name = substr($0, RSTART + 1, RLENGTH - 2)
  quoted = substr($0, RSTART, 1) == "\""
  if (!torch && name ~ /^(torch|ATen|c10|caffe2)\//) {
    print FILENAME ":" FNR ": libtorch header outside the torch half: " name
  }
  if (public && (quoted ||
      name ~ /^(nlohmann|fmt|re2|CLI|gtest|gmock|benchmark)\// ||
      name ~ /^(xxhash|pcre2|utf8proc)\.h/)) {
    print FILENAME ":" FNR ": private header in a public one: " name
  }
  sub(/^mantissa\//, "", name)
  split(name, parts, "/")
  target = parts[1]
  if (room == "all" || !(target in rank) || target == room) next
  if (name ~ /^torch\//) next  # libtorch's own, judged above
  if (rank[target] >= rank[room] || (room == "text" && target != "core")) {
    print FILENAME ":" FNR ": " room " includes " target ": " name
  }
}
