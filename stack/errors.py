"""What can go wrong for the person at the keyboard."""


class StackError(Exception):
    """A failure that a person can do something about.

    Args:
        message: what is wrong, one sentence.
        remedy: what to do about it, one sentence; empty: the message says it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
