"""Errors and warnings that a caller may want to catch."""

from __future__ import annotations


class MissingColumnError(ValueError):
    """A frame lacks a column that the call needs.

    Examples
    --------
    >>> from custanalytics.exceptions import MissingColumnError
    >>> issubclass(MissingColumnError, ValueError)
    True
    """


class InvalidDataError(ValueError):
    """Rows of a log or a table break a rule that the call depends on.

    Examples
    --------
    >>> from custanalytics.exceptions import InvalidDataError
    >>> issubclass(InvalidDataError, ValueError)
    True
    """


class RuleTableError(ValueError):
    """A table of segment rules has cells that are missing, doubled or dead.

    Examples
    --------
    >>> from custanalytics.exceptions import RuleTableError
    >>> issubclass(RuleTableError, ValueError)
    True
    """


class MissingExtraError(ImportError):
    """A call needs an optional package; the message names the extra that brings it.

    Examples
    --------
    >>> from custanalytics.exceptions import MissingExtraError
    >>> issubclass(MissingExtraError, ImportError)
    True
    """


class DataQualityWarning(UserWarning):
    """Rows were left out or are doubtful; the result stands without them.

    Examples
    --------
    >>> from custanalytics.exceptions import DataQualityWarning
    >>> issubclass(DataQualityWarning, UserWarning)
    True
    """


class FitWarning(UserWarning):
    """A fit ended at a boundary or short of its tolerance; the message names the remedy.

    Examples
    --------
    >>> from custanalytics.exceptions import FitWarning
    >>> issubclass(FitWarning, UserWarning)
    True
    """
