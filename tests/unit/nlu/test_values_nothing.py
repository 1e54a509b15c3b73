"""Everyday sentences that hold no value of a kind that skills act on."""

from __future__ import annotations

import pytest

from services.nlu.text import tokenise
from tests.unit.nlu.value_tables import a_finder

pytestmark = pytest.mark.unit

ACTED_ON = ("QUANTITY", "MONEY", "DATE", "TIME", "DATETIME", "DURATION", "INTERVAL", "RECURRENCE")
SURE = 0.5
NOTHING = {
    "en": """
tell me a joke
what's the meaning of life
turn on the kitchen light
play some music
i may be late
march forward
who is the second president
thanks a lot
add milk to my shopping list
what a day
how many times did he win
she is a ten
the sun is shining
he sat down
i have one
good evening
at home for dinner
call mom on her mobile
one moment please
the hours of the museum
""",
    "de": """
erzähl mir einen witz
mach das licht in der küche an
guten abend
eine frage
die eins
das ist mir egal
wie geht es dir
zum ersten mal
am ende
auf keinen fall um jeden preis
ein hund und eine katze
mai ist ein schöner name
gute nacht
einen moment
wer ist der zweite präsident
""",
    "es": """
cuéntame un chiste
enciende la luz de la cocina
buenas noches
buenas tardes
una pregunta
la media naranja
a la derecha
en marcha
uno de los dos
un momento
qué tal el día
la segunda vez
ya voy
""",
    "fr": """
raconte-moi une blague
allume la lumière de la cuisine
bonsoir
une question
un été chaud
il est neuf
à la maison
le second
de temps en temps
un moment
un deux trois soleil
c'est la une
en avance sur son temps
quelle heure
""",
    "it": """
raccontami una barzelletta
accendi la luce in cucina
buonasera
una domanda
sei bravo
a che ora parte il treno
un momento
la prima volta
di solito
per la strada
ora o mai più
sono le stesse
a casa
""",
}


@pytest.mark.parametrize(
    ("language", "words"),
    [(language, line) for language, table in NOTHING.items() for line in table.strip().splitlines()],
)
def test_nothing_is_found(language: str, words: str) -> None:
    finder = a_finder(language)
    found = {kind: finder.find(kind, tokenise(words)) for kind in ACTED_ON}
    assert not [(kind, one) for kind, places in found.items() for one in places if one.confidence >= SURE]
