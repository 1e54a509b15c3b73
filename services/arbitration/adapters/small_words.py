"""What people say in any conversation, whatever skills there are; part of every grammar that `grammar` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SMALL_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        "yes", "yes please", "yeah", "sure", "okay", "do it", "no", "no thanks", "no thank you", "cancel", "never mind",
        "stop", "be quiet", "repeat that", "say that again", "what did you say", "help", "what can you do", "hello",
        "hi", "good morning", "good evening", "thanks", "thank you", "thank you very much", "goodbye", "bye",
    ),
    "de": (
        "ja", "ja bitte", "ja gerne", "klar", "okay", "mach das", "nein", "nein danke", "abbrechen", "vergiss es",
        "stopp", "sei still", "wiederhol das", "noch einmal bitte", "was hast du gesagt", "hilfe", "was kannst du",
        "hallo", "guten morgen", "guten tag", "guten abend", "danke", "vielen dank", "tschüss", "auf wiedersehen",
    ),
    "es": (
        "sí", "sí por favor", "claro", "vale", "de acuerdo", "hazlo", "no", "no gracias", "cancela", "déjalo", "para",
        "silencio", "repítelo", "otra vez por favor", "qué has dicho", "ayuda", "qué puedes hacer", "hola",
        "buenos días", "buenas tardes", "buenas noches", "gracias", "muchas gracias", "adiós", "hasta luego",
    ),
    "fr": (
        "oui", "oui s'il te plaît", "bien sûr", "d'accord", "vas-y", "non", "non merci", "annule", "laisse tomber",
        "arrête", "silence", "répète", "encore une fois", "qu'est-ce que tu as dit", "aide-moi", "que sais-tu faire",
        "bonjour", "bonsoir", "salut", "merci", "merci beaucoup", "au revoir", "à bientôt",
    ),
    "it": (
        "sì", "sì grazie", "certo", "va bene", "d'accordo", "fallo", "no", "no grazie", "annulla", "lascia stare",
        "basta", "silenzio", "ripeti", "ancora una volta", "cosa hai detto", "aiuto", "cosa sai fare", "ciao",
        "buongiorno", "buonasera", "grazie", "grazie mille", "arrivederci", "a presto",
    ),
}  # fmt: skip
"""By language; others are heard with what their skills bring."""
