"""`python -m kata` is `kata`."""

from kata.cli import main

if __name__ == "__main__":
    main()
