"""`python -m backpulse`: the command `backpulse`."""

from backpulse.host.__main__ import main

if __name__ == "__main__":
    main()
