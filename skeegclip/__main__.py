"""Run the command line as ``python -m skeegclip``."""

from .commands.cli import main

if __name__ == "__main__":
    main()
