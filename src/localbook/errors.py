"""The errors that localbook raises on purpose: each is one sentence that says what to do."""


class LocalbookError(Exception):
    """Base of every error a user can mend; the command line prints it without a traceback."""


class DataError(LocalbookError, ValueError):
    """Images or labels that are missing, damaged or of the wrong form."""


class RecordError(LocalbookError, ValueError):
    """A run record that cannot be read or does not follow the schema."""


class ConfigError(LocalbookError, ValueError):
    """An argument, option or configuration that makes no sense."""


class TrainingError(LocalbookError, RuntimeError):
    """A training run that had to stop, such as on a loss that is not a number."""


class GeometryError(LocalbookError, ValueError):
    """Points, generators or polynomials whose geometry cannot be what was asked for."""


class DataWarning(UserWarning):
    """What was left out of, changed in or chosen for a folder of images."""
