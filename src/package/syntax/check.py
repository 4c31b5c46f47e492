"""Parses files; runs none of them, and writes nothing. Each line of stdin is an array of their names; it is answered with a line: an object
with this version and the syntax errors, one a file at most. It ends with stdin."""

import json
import sys
import warnings

warnings.simplefilter("ignore")


def found(file):
    try:
        with open(file, "rb") as source:
            compile(source.read(), file, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").rstrip("\n")
        caret = " " * max((error.offset or 1) - 1, 0) + "^"
        excerpt = text + "\n" + caret if text else ""
        return [{"file": file, "line": error.lineno or 0, "message": error.msg, "excerpt": excerpt}]
    except ValueError as error:
        return [{"file": file, "line": 0, "message": str(error), "excerpt": ""}]
    except (OSError, RecursionError, MemoryError):
        pass
    return []


version = "%d.%d.%d" % sys.version_info[:3]
for line in sys.stdin.buffer:
    errors = [error for file in json.loads(line.decode()) for error in found(file)]
    print(json.dumps({"version": version, "errors": errors}), flush=True)
