"""``python -m rustprune``."""

from rustprune.cli import main

main()
