"""check_wheels.py LIST: does this interpreter have the wheels of LIST?

LIST has lines `name==version`. Prints what is missing or differs and exits 1.
"""

import importlib.metadata
import sys


def findings(path):
    for line in open(path):
        if "==" not in line or line.startswith("#"):
            continue
        name, wanted = line.strip().split("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{name}: expected {wanted}, found none"
            continue
        if found.split("+")[0] != wanted:
            yield f"{name}: expected {wanted}, found {found}"


def main():
    found = list(findings(sys.argv[1]))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
