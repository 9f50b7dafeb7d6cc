"""The one kind of error that is shown to users as a message."""


class UserError(ValueError):
    """A mistake that the user can fix; its text says where, what is wrong and what to do.

    Entry points show it as one message with exit status 1. Every other exception is a bug and
    keeps its traceback.
    """
