"""Errors that are shown to users as a message."""


class UserError(ValueError):
    """A mistake that the user can fix; its text says where, what is wrong and what to do.

    Entry points show it as one message with exit status 1. Every other exception is a bug and
    keeps its traceback.
    """


class FileRefused(UserError):
    """The system refused to read a file, so nothing is known about its content.

    Nothing may be deleted, overwritten or called damaged because of it.
    """


class DamagedFile(UserError):
    """A file was read, and its content is wrong."""
