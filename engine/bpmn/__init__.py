"""BPMN: files of three dialects to one typed model, with every reason why a file cannot run.

>>> from engine.bpmn import read
>>> read(b"<x/>", "a.bpmn")  # doctest: +IGNORE_EXCEPTION_DETAIL
Traceback (most recent call last):
engine.bpmn.errors.BpmnDefinitionError: a.bpmn:1: error: expected bpmn:definitions …
"""

from engine.bpmn.errors import BpmnDefinitionError
from engine.bpmn.reader import read

__all__ = ["BpmnDefinitionError", "read"]
