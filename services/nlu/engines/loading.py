"""Which engine runs a bundle of labels: the one door for whoever has a bundle's name only.

`app.py` and `antiphon evaluate nlu` call it.
"""

from __future__ import annotations

from services.nlu.engines.labels import LabelEngine, LabelReader
from services.nlu.engines.languages import LanguageEngine
from services.runtime.inference import ModelClient


async def label_reader(client: ModelClient, model: str) -> LabelReader:
    """The reader of a bundle, by what its definition says: one that names its taxonomy is multilingual.

    Raises:
        FailedPrecondition: no such bundle, or one that neither engine runs.
    """
    definition = await client.load(model)
    if "taxonomy" in definition.parameters:
        return LanguageEngine(client, definition)
    return LabelEngine(client, definition)
