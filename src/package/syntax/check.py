"""Parses the files that stdin names, a line each; runs none of them, and writes nothing. Prints its version, then an object for each
file with a syntax error."""

import json
import sys
import warnings

warnings.simplefilter("ignore")
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3]}))
for file in sys.stdin.read().split("\n"):
    if not file:
        continue
    try:
        with open(file, "rb") as source:
            compile(source.read(), file, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").rstrip("\n")
        caret = " " * max((error.offset or 1) - 1, 0) + "^"
        excerpt = text + "\n" + caret if text else ""
        print(json.dumps({"file": file, "line": error.lineno or 0, "message": error.msg, "excerpt": excerpt}))
    except ValueError as error:
        print(json.dumps({"file": file, "line": 0, "message": str(error), "excerpt": ""}))
    except (OSError, RecursionError, MemoryError):
        continue
