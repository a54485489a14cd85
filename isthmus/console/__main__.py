"""`python -m isthmus.console` is `isthmus`."""

from isthmus.console.entry import main

main()
