"""`python -m facesearch`: the command line."""

from facesearch.cli import main

if __name__ == "__main__":
    main()
