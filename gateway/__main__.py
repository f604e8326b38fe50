"""`python -m gateway VERB`, the same as `sensay-gateway VERB`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
