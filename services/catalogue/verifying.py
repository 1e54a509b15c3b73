"""Whether bundles are what they were signed off as: every file's digest against the definition and the installation.

Called by `commands.py` for `antiphon models verify`, and by `installing.py` before a bundle gets its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.catalogue.downloading import digest_of
from services.catalogue.stores import ORIGIN, Bundle, Origin
from services.runtime.errors import AntiphonError, FailedPrecondition
from services.runtime.inference import ModelDefinition


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: `problems` is empty for a bundle that is whole."""

    bundle: Bundle
    files: int
    problems: tuple[str, ...]

    @property
    def pinned(self) -> bool | None:
        """Whether the catalogue knew the download's digest beforehand; None for what was not downloaded."""
        origin = self.bundle.origin
        return origin.pinned if origin and origin.url else None


def verify(bundle: Bundle) -> Report:
    """Reads and digests every file of a bundle that anything is known of. Blocking."""
    if bundle.definition is None:
        return Report(bundle, 0, (bundle.error,))
    problems = [problem] if (problem := check_file(bundle.definition)) else []
    if bundle.origin is None:
        return Report(bundle, 1, tuple(problems))
    problems += _against(bundle, bundle.origin)
    return Report(bundle, len(bundle.origin.files), tuple(dict.fromkeys(problems)))


def check_file(definition: ModelDefinition) -> str:
    """What is wrong with the file that a definition names; empty if nothing is."""
    try:
        if "acoustic_model" in definition.parameters:
            _check_pocketsphinx(definition)
            return ""
        found = digest_of(definition.path)
    except AntiphonError as error:
        return error.message
    except OSError as error:
        return f"{definition.path.name}: {error.strerror or error}"
    if found != definition.sha256:
        return f"{definition.path.name}: sha256 is {found}, expected {definition.sha256}"
    return ""


def _check_pocketsphinx(definition: ModelDefinition) -> None:
    """Its digest is that of its language model, which may lie in the engine's own package."""
    try:
        from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle  # an extra of its own
    except ModuleNotFoundError as error:
        raise FailedPrecondition(f"it cannot be checked here: no {error.name}", reason="ENGINE_MISSING") from None
    PocketsphinxBundle.open(definition)


def _against(bundle: Bundle, origin: Origin) -> list[str]:
    """Each file as it was installed; none is missing and none has joined."""
    problems = []
    there = {
        str(path.relative_to(bundle.folder))
        for path in bundle.folder.rglob("*")
        if path.is_file() and path != bundle.folder / ORIGIN
    }
    for name, expected in sorted(origin.files.items()):
        if name not in there:
            problems.append(f"{name}: it is missing")
        elif (found := digest_of(bundle.folder / name)) != expected:
            problems.append(f"{name}: sha256 is {found}, expected {expected}")
    problems += [f"{name}: it was not installed with the others" for name in sorted(there - origin.files.keys())]
    return problems
