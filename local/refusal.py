"""What the local tools cannot do, told to the person at the terminal."""


class Refused(Exception):
    """Something that the person at the terminal can change; the message says what, in one line."""
