"""Fitted models as small versioned JSON, for programs that score customers elsewhere."""

from __future__ import annotations

import json
from math import inf, isfinite
from numbers import Real
from typing import Any, ClassVar, Self, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics.exceptions import InvalidDataError

FORMAT = 1  # raised when a reader of this version would misread what a later one writes


class Saved(BaseEstimator):
    """A fitted model that can be written to JSON and read back: its settings and what it learned, no data."""

    _learned: ClassVar[tuple[str, ...]] = ()  # the attributes that a fit sets
    _unsaved: ClassVar[tuple[str, ...]] = ()  # settings that are data

    def to_json(self) -> str:
        """Write the fitted model as JSON.

        Returns
        -------
        str
            A few kilobytes at most: the model's name, settings, parameters and what describes the fit. Numbers keep
            every bit. `from_json` of this or a later version of the library reads it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        """
        return json.dumps({"format": FORMAT, **_document(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a fitted model that `to_json` wrote.

        Parameters
        ----------
        text : str or bytes
            The JSON.

        Returns
        -------
        model
            It predicts what the model that was written predicted.

        Raises
        ------
        InvalidDataError
            If the text is not such JSON, is of another model, or was written in a later format.
        """
        try:
            return cast(Self, cls._from_document(json.loads(text)))
        except InvalidDataError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidDataError(f"{cls.__name__}.from_json takes the text that to_json wrote. {error!r}") from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Any:
        found, name = document["format"], document["model"]
        if found > FORMAT:
            raise InvalidDataError(
                f"This {name} was written in format {found} by a later version of custanalytics; this version reads "
                f"formats up to {FORMAT}. Install a later version, or write the model anew with this one."
            )
        if name != cls.__name__:
            raise InvalidDataError(f"This is a {name}: read it with {name}.from_json; got {cls.__name__}.from_json.")
        return _restored(document, cls)


def _document(model: Saved) -> dict[str, Any]:
    check_is_fitted(model)
    settings = {name: _plain(value) for name, value in _settings(model).items()}
    learned = {name: _plain(getattr(model, name)) for name in model._learned if hasattr(model, name)}
    return {"model": type(model).__name__, "settings": settings, "learned": learned}


def _settings(model: Saved) -> dict[str, Any]:
    return {name: value for name, value in model.get_params(deep=False).items() if name not in model._unsaved}


def _plain(value: Any) -> Any:
    """A setting or what was learned, in terms of JSON; what JSON lacks is an object with one key."""
    if isinstance(value, Saved):
        return {"fitted": _document(value)} if value.__sklearn_is_fitted__() else {"unfitted": _unfitted(value)}
    if isinstance(value, np.ndarray):
        return {"array": [_plain(each) for each in value.tolist()]}
    if isinstance(value, dict):
        return {"map": {name: _plain(each) for name, each in value.items()}}
    if isinstance(value, tuple | list):
        return {"tuple": [_plain(each) for each in value]} if isinstance(value, tuple) else [*map(_plain, value)]
    if value is None or isinstance(value, str | bool | np.bool_):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, Real):
        number = int(value) if isinstance(value, int | np.integer) else float(value)
        return number if isfinite(number) else {"number": "inf" if number == inf else "-inf" if number < 0 else "nan"}
    raise TypeError(f"A setting of type {type(value).__name__} cannot be written as JSON: {value!r}.")


def _unfitted(model: Saved) -> dict[str, Any]:
    settings = {name: _plain(value) for name, value in _settings(model).items()}
    return {"model": type(model).__name__, "settings": settings, "learned": {}}


def _restored(document: dict[str, Any], kind: type[Saved] | None = None) -> Any:
    kind = _known(document["model"]) if kind is None else kind
    model = kind()
    settings = {name: _value(value) for name, value in document["settings"].items()}
    model.set_params(**settings)
    for name, value in document["learned"].items():
        setattr(model, name, _value(value))
    if hasattr(model, "params_"):
        _check_point(model)
    return model


def _check_point(model: Any) -> None:
    """Refuse parameters and coefficients that no fit has."""
    owner, names = f"The JSON of this {type(model).__name__}", model._names
    missing = set(names) - set(model.params_)
    if missing:
        raise InvalidDataError(f"{owner} lacks its parameters {sorted(missing)}.")
    signed = names[len(names) - model._signed :]
    wrong = {name: value for name, value in model.params_.items() if not _possible(value, name in signed)}
    if wrong:
        raise InvalidDataError(f"{owner} has parameters that cannot be: {wrong}.")
    for process, columns in model._processes().items() if hasattr(model, "_processes") else ():
        found = getattr(model, "coefficients_", {}).get(process, {})
        wrong = {column: found.get(column) for column in columns if not _possible(found.get(column), True)}
        if wrong:
            raise InvalidDataError(f"{owner} has coefficients of {process!r} that cannot be: {wrong}.")


def _possible(value: Any, signed: bool) -> bool:
    return isinstance(value, int | float) and isfinite(value) and (signed or value >= 0)


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    (kind, content), *_ = plain.items()
    if kind in ("fitted", "unfitted"):
        return _restored(content)
    if kind == "map":
        return {name: _value(each) for name, each in content.items()}
    if kind == "number":
        return float(content)
    items = [_value(each) for each in content]
    if kind == "tuple":
        return tuple(items)
    text = bool(items) and isinstance(items[0], str)
    return np.array(items, dtype=object) if text else np.array(items, dtype=np.float64)


def _known(name: str) -> type[Saved]:
    """The class of a model within another: one of this library where the caller has one of the same name."""
    known = {kind.__name__: kind for kind in sorted(_kinds(Saved), key=_is_own)}
    if name not in known:
        raise InvalidDataError(f"No model is called {name!r}; this version knows {sorted(known)}.")
    return known[name]


def _is_own(kind: type[Saved]) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def _kinds(kind: type[Saved]) -> list[type[Saved]]:
    return [each for child in kind.__subclasses__() for each in (child, *_kinds(child))]
