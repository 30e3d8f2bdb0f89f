"""The command `kata`, and `python -m kata`: the imports come late, so that Ctrl-C can end them."""

import sys

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended


def main() -> None:
    """Run the tool."""
    try:
        from kata.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
