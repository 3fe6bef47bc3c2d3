"""The kind of frame that an estimator gives back: the one that came in, or the one that was asked for."""

from __future__ import annotations

from typing import Any, Self

import narwhals as nw
import sklearn
from sklearn.base import TransformerMixin

from custanalytics import _frames

_KINDS = ("default", "pandas", "polars")


class FrameTransformer(TransformerMixin, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Frame in, frame out: the same kind as came in, or the kind that `set_output` asks for."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # scikit-learn's own wrapper would rename the output by position; `_give` does what is needed.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the kind of frame that `transform` gives.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            "default" gives back the kind that came in; None changes nothing.

        Returns
        -------
        self
        """
        if transform is not None:
            if transform not in _KINDS:
                raise ValueError(f"set_output takes transform in {_KINDS}; got {transform!r}.")
            self._sklearn_output_config = {"transform": transform}
        return self

    def _give(self, frame: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> Any:
        config = getattr(self, "_sklearn_output_config", {})
        kind = config.get("transform", sklearn.get_config()["transform_output"])
        return give(frame, kind)


def give(frame: nw.DataFrame[Any] | nw.LazyFrame[Any], kind: str = "default") -> Any:
    """The native frame, turned into pandas or Polars (then no longer lazy) where that is asked for."""
    if isinstance(frame, nw.LazyFrame):
        if kind == "default":
            return frame.to_native()
        frame = _frames.gather(frame)
    if kind == "pandas" and not frame.implementation.is_pandas():
        return frame.to_pandas()
    if kind == "polars" and not frame.implementation.is_polars():
        return frame.to_polars()
    return frame.to_native()
