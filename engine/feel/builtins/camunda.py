"""What FEEL in Camunda 8 has beyond the standard."""

from __future__ import annotations

from engine.feel.builtins.catalog import Catalog

catalog = Catalog()
