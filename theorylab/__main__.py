"""``python -m theorylab``: the command line."""

from theorylab.cli import main

if __name__ == "__main__":
    main()
