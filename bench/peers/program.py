"""A program that answers a question a line, and the machine's probes that stand
around each measurement: what is measured counts where both agree."""

import subprocess
import time

REST = 0.03  # seconds until the other side's threads sleep
APART = 0.1  # probes that differ by more: the machine was not quiet


class Program:
    def __init__(self, *command):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.gone = None

    def ask(self, question):
        """The answer's integers, or why there are none."""
        if self.gone:
            return self.gone
        time.sleep(REST)
        try:
            self.process.stdin.write(question + "\n")
            line = self.process.stdout.readline().strip()
        except BrokenPipeError:
            line = ""
        if not line:
            self.gone = (f"{' '.join(self.command[:2])} ended with "
                         f"{self.process.wait()}, asked '{question}'")
            return self.gone
        return line[2:] if line.startswith("- ") else tuple(map(int, line.split()))

    def drop(self):
        try:
            self.process.stdin.write("drop\n")
        except BrokenPipeError:
            pass  # ask() says so


class Probes:
    """What `threads` can do: (bytes, int8 operations) a second."""

    def __init__(self, bench):
        self.bench = bench

    def take(self, threads):
        found = self.bench.ask(f"probe {threads}T")
        if isinstance(found, str):
            raise SystemExit(found)
        return found

    @staticmethod
    def agreed(before, after):
        """Their mean, or None where they differ."""
        if any(abs(a / b - 1) > APART for a, b in zip(before, after)):
            return None
        return tuple((a + b) / 2 for a, b in zip(before, after))
