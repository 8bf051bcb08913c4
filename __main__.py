"""`python -m tokenladder` is the `tokenladder` command."""

from tokenladder.pipelines.cli import main

if __name__ == "__main__":
    main()
