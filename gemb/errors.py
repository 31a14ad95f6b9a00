"""What all failures have in common that their reader can mend."""


class UserError(Exception):
    """Its message says what is wrong and how to mend it: shown without a traceback."""
