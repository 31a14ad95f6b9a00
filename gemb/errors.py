"""What all failures have in common that their reader can mend."""


class UserError(Exception):
    """Its message says what is wrong and how to mend it: shown without a traceback."""


class UnknownName(UserError, KeyError):
    """A name that stands for nothing; the message lists those that do."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it
