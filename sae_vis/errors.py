"""Errors that a user can cause: each says what was found, what was expected and what to do."""


class SaeVisError(Exception):
    """Base class of every error this package raises on purpose. The command line prints it as one line."""


class InputError(SaeVisError, ValueError):
    """Wrong input: shapes, names, tokens, options."""


class CheckpointError(SaeVisError, ValueError):
    """A checkpoint that can't be read as what it says it is."""


class IndexFileError(SaeVisError):
    """Base of the errors about an index directory."""


class DamagedIndexError(IndexFileError):
    """An index with a missing, truncated or altered part; names the part."""


class BusyIndexError(IndexFileError):
    """An index directory, or address, that another process is building in."""


class StalledBuildError(SaeVisError):
    """Workers of a build made no progress for too long; says what is waited for. What is done is kept."""


class ForeignIndexError(IndexFileError):
    """An index directory, or address, that was made from something else than is asked for now; nothing was written."""


class UnknownWiringError(InputError):
    """What was asked for needs a way through the model that is not known; what does not need it can be had."""
