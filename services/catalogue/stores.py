"""The bundles there are: those that ship with the capabilities, and those in the operator's store.

Read by `listing.py` and `verifying.py`, filled by `installing.py`. One broken bundle is told of and hides no other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from services.runtime.errors import AntiphonError
from services.runtime.inference import ModelDefinition
from services.runtime.model_store import DEFINITION, definitions_below, model_folders, read_definition

SERVICES = Path(__file__).resolve().parent.parent
ORIGIN = "origin.json"
BUNDLED, INSTALLED = "bundled", "installed"
_RECOGNISERS = frozenset({"transducer", "ctc"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an installed bundle came from; lies in it as `origin.json`.

    Attributes:
        catalogue: name of its entry; empty if it was imported from elsewhere.
        sha256: of the download; `pinned` if the catalogue named it beforehand.
        files: what was installed, path -> SHA-256.
    """

    catalogue: str = ""
    capability: str = ""
    url: str = ""
    sha256: str = ""
    pinned: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        (folder / ORIGIN).write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder with a definition, whole or broken.

    Attributes:
        state: BUNDLED or INSTALLED.
        definition: None if it cannot be read; `error` says why.
        part: it lies in another bundle, and belongs to it.
    """

    folder: Path
    state: str
    capability: str
    definition: ModelDefinition | None = None
    error: str = ""
    origin: Origin | None = None
    part: bool = False

    @property
    def id(self) -> str:
        """`publisher/name@version`, or the folder of a broken one."""
        return self.definition.id if self.definition else str(self.folder)

    @property
    def engine(self) -> str:
        """What runs it."""
        if self.definition is None:
            return ""
        given = self.definition.parameters
        engine = given.get("engine", "pocketsphinx" if "acoustic_model" in given else "onnx")
        return engine if isinstance(engine, str) else "unknown"


def store_to_fill(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `pull` and `import` put bundles: the first folder that the services read."""
    return model_folders(environ)[0]


def everything(stores: Iterable[Path]) -> list[Bundle]:
    """All bundles: of the given stores, then of the capabilities."""
    return [*(bundle for store in stores for bundle in installed(store)), *bundled()]


def bundled() -> list[Bundle]:
    """What ships with the platform."""
    return [
        _read(path, BUNDLED, models.parent.name)
        for models in sorted(SERVICES.glob("*/models"))
        for path in definitions_below(models)
    ]


def installed(store: Path) -> list[Bundle]:
    """What lies in a store; nothing if it is not there."""
    return [_read(path, INSTALLED, "") for path in definitions_below(store)]


def read_origin(folder: Path) -> Origin | None:
    """None if the bundle has none, or none that can be read: then its own definition is all there is to check."""
    try:
        read = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in read.pop("files").items()}
        known = Origin(**read, files=files)
        texts = (known.catalogue, known.capability, known.url, known.sha256)
        return known if all(isinstance(text, str) for text in texts) and isinstance(known.pinned, bool) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _read(path: Path, state: str, capability: str) -> Bundle:
    folder = path.parent
    part = (folder.parent / DEFINITION).is_file()
    origin = read_origin(folder)
    try:
        definition = read_definition(path)
    except AntiphonError as error:
        return Bundle(folder, state, capability, error=str(error), origin=origin, part=part)
    if not capability:
        capability = origin.capability if origin else ""
    read = Bundle(folder, state, capability, definition, origin=origin, part=part)
    return replace(read, capability="asr") if not capability and read.engine in _RECOGNISERS else read
