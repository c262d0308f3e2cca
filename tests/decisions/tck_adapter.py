"""The engine as the runner of the DMN test kit wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.decisions import DecisionModel
from engine.feel import Date, DateTime, DaysTimeDuration, Time, Value, YearsMonthsDuration, evaluate
from engine.feel.external import JAVA_LANG

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
KINDS = {"date": "date", "time": "time", "dateTime": "date and time", "duration": "duration"}


class Adapter:
    """Loads each model once; the functions outside of FEEL are allow-listed."""

    name = "poundlock"

    def __init__(self, kinds: type | None = None) -> None:
        self.models: dict[str, DecisionModel] = {}
        self.tagged = kinds  #: the runner's class for temporal values

    def evaluate(
        self,
        path: str,
        name: str,
        inputs: Mapping[str, Any],
        kind: str = "decision",
        result: str | None = None,
        imports: Sequence[str] = (),
    ) -> Any:
        if path not in self.models:
            self.models[path] = DecisionModel.load(
                Path(path), list(map(Path, imports)), externals=JAVA_LANG, strict=False
            )
        model = self.models[path]
        given = {key: self.read(value) for key, value in inputs.items()}
        if kind == "service":
            value = model.evaluate_service(name, given, now=NOW)
            if model.service_outputs(name) > 1:
                value = value[result]
            return self.write(value)
        return self.write(model.evaluate(name, given, now=NOW))

    def read(self, value: Any) -> Value:
        if self.tagged is not None and isinstance(value, self.tagged):
            return evaluate(f"{KINDS[value.kind]}(text)", {"text": value.text})
        if isinstance(value, dict):
            return {key: self.read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.read(item) for item in value]
        return str(value) if isinstance(value, str) else value

    def write(self, value: Value) -> Any:
        if isinstance(value, dict):
            return {key: self.write(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.write(item) for item in value]
        kind = {
            Date: "date",
            Time: "time",
            DateTime: "dateTime",
            DaysTimeDuration: "duration",
            YearsMonthsDuration: "duration",
        }.get(type(value))
        return self.tagged(kind, str(value)) if kind and self.tagged else value
