"""The smallest device application: read one letter from each image and act on it.

Needs the runtime wheel alone: ``python samples/read_letters.py samples/photos/*.jpg``.
"""

from __future__ import annotations

import sys

from hcr_runtime import Classifier, HcrError


def main(paths: list[str]) -> int:
    """Print each image's letter; 1 when one could not be read, 2 when there is none."""
    if not paths:
        print(f"usage: python {sys.argv[0]} IMAGE ...", file=sys.stderr)
        return 2
    classifier = Classifier.load("arabic-letters")
    unread = 0
    for path in paths:
        try:
            prediction = classifier.classify(path)
        except HcrError as error:
            print(f"error: {error}", file=sys.stderr)
            unread += 1
            continue
        if prediction.accepted:
            print(f"{path}\t{prediction.label}\t{prediction.confidence:.2f}")
        else:
            print(f"{path}\t(not read: {prediction.reason})")
    return int(unread > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
