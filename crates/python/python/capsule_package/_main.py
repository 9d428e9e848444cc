"""The console script ``capsule``."""

import sys


def main() -> None:
    """Runs the program ``capsule`` in this process, with this process's arguments, and exits as it does."""
    from . import _native

    sys.exit(_native.main(["capsule", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
