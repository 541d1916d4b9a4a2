"""`python -m composer` is `jocker`."""

from composer.cli.main import main

if __name__ == "__main__":
    main()
