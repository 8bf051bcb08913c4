"""`python -m tokenladder` is the `tokenladder` command."""

from tokenladder.pipelines.commands.cli import main

if __name__ == "__main__":
    main()
