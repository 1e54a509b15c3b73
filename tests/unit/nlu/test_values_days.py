"""Days: this year's first, as in "what day is march tenth", then the next one to come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.nlu.value_tables import Row, a_finder, found, read, rows

pytestmark = pytest.mark.unit

DAYS = {
    "en": """
today | 2026-11-20
what is tomorrow's date | 2026-11-21
yesterday | 2026-11-19
the day after tomorrow | 2026-11-22
the day before yesterday | 2026-11-18
friday | 2026-11-27
saturday | 2026-11-21
on monday | 2026-11-23
next friday | 2026-11-27
next saturday | 2026-11-28
this friday | 2026-11-20
last monday | 2026-11-16
last friday | 2026-11-13
friday next week | 2026-11-27
monday last week | 2026-11-09
a week from friday | 2026-12-04
friday in two weeks | 2026-12-11
two weeks from friday | 2026-12-11
in three days | 2026-11-23
in two weeks | 2026-12-04
in a month | 2026-12-20
in a year | 2027-11-20
64 days from now | 2027-01-23
three days ago | 2026-11-17
the 3rd of may | 2026-05-03 2027-05-03
the twenty third of april | 2026-04-23 2027-04-23
april sixteenth | 2026-04-16 2027-04-16
may 5 2027 | 2027-05-05
december 24th | 2026-12-24
december the twenty fourth, 2028 | 2028-12-24
3rd may two thousand twenty seven | 2027-05-03
christmas eve | 2026-12-24
new year's eve 2027 | 2027-12-31
2026-12-24 | 2026-12-24
friday the thirteenth | 2027-08-13
monday, the 3rd of may | 2027-05-03
on the twelfth | 2026-11-12 2026-12-12
you may go | -
february thirtieth | -
march on | -
my birthday | -
in 99999999999 days | -
one second please | -
""",
    "de": """
heute | 2026-11-20
welcher tag ist morgen | 2026-11-21
gestern | 2026-11-19
übermorgen | 2026-11-22
uebermorgen | 2026-11-22
vorgestern | 2026-11-18
freitag | 2026-11-27
am samstag | 2026-11-21
am montag | 2026-11-23
nächsten freitag | 2026-11-27
kommenden samstag | 2026-11-28
diesen freitag | 2026-11-20
letzten montag | 2026-11-16
freitag nächster woche | 2026-11-27
nächste woche freitag | 2026-11-27
freitag in zwei wochen | 2026-12-11
heute in einer woche | 2026-11-27
in drei tagen | 2026-11-23
in zwei wochen | 2026-12-04
in einem monat | 2026-12-20
in einem jahr | 2027-11-20
vor zwei wochen | 2026-11-06
am dritten mai | 2026-05-03 2027-05-03
der 3. mai | 2026-05-03 2027-05-03
am 3. Mai 2027 | 2027-05-03
am dreiundzwanzigsten april | 2026-04-23 2027-04-23
am 24.12. | 2026-12-24
am 24.12.2026 | 2026-12-24
24. dezember | 2026-12-24
erster jänner | 2026-01-01 2027-01-01
weihnachten | 2026-12-25
an heiligabend | 2026-12-24
silvester 2027 | 2027-12-31
freitag der dreizehnte | 2027-08-13
am zwölften | 2026-11-12 2026-12-12
guten morgen | -
am morgen | -
jeden morgen | -
dreißigster februar | -
mein geburtstag | -
""",
    "es": """
hoy | 2026-11-20
qué día es mañana | 2026-11-21
ayer | 2026-11-19
pasado mañana | 2026-11-22
anteayer | 2026-11-18
viernes | 2026-11-27
el sábado | 2026-11-21
el lunes | 2026-11-23
el próximo viernes | 2026-11-27
el viernes que viene | 2026-11-27
el próximo sábado | 2026-11-28
este viernes | 2026-11-20
el lunes pasado | 2026-11-16
el viernes de la semana que viene | 2026-11-27
el viernes dentro de dos semanas | 2026-12-11
dentro de tres días | 2026-11-23
en dos semanas | 2026-12-04
en un mes | 2026-12-20
dentro de un año | 2027-11-20
hace dos semanas | 2026-11-06
el tres de mayo | 2026-05-03 2027-05-03
el 3 de mayo de 2027 | 2027-05-03
el veintitrés de abril | 2026-04-23 2027-04-23
el veintitres de abril | 2026-04-23 2027-04-23
el 24 de diciembre | 2026-12-24
el primero de enero | 2026-01-01 2027-01-01
el 24/12/2026 | 2026-12-24
navidad | 2026-12-25
en nochevieja | 2026-12-31
nochebuena 2027 | 2026-12-24
viernes trece | 2027-08-13
el día doce | 2026-11-12 2026-12-12
por la mañana | -
de la mañana | -
el treinta de febrero | -
mi cumpleaños | -
buenos días | -
""",
    "fr": """
aujourd'hui | 2026-11-20
quel jour sommes-nous demain | 2026-11-21
hier | 2026-11-19
après-demain | 2026-11-22
apres demain | 2026-11-22
avant-hier | 2026-11-18
vendredi | 2026-11-27
samedi | 2026-11-21
lundi | 2026-11-23
vendredi prochain | 2026-11-27
samedi prochain | 2026-11-28
ce vendredi | 2026-11-20
lundi dernier | 2026-11-16
vendredi de la semaine prochaine | 2026-11-27
vendredi dans deux semaines | 2026-12-11
lundi en huit | 2026-11-30
dans trois jours | 2026-11-23
dans deux semaines | 2026-12-04
dans un mois | 2026-12-20
dans un an | 2027-11-20
il y a deux semaines | 2026-11-06
le trois mai | 2026-05-03 2027-05-03
le 3 mai 2027 | 2027-05-03
le vingt-trois avril | 2026-04-23 2027-04-23
le premier janvier | 2026-01-01 2027-01-01
le 1er janvier | 2026-01-01 2027-01-01
le 24 décembre | 2026-12-24
le 24 decembre | 2026-12-24
le 24/12/2026 | 2026-12-24
noël | 2026-12-25
le réveillon de noël | 2026-12-24
noël 2027 | 2027-12-25
vendredi treize | 2027-08-13
le douze | 2026-11-12 2026-12-12
le trente février | -
mon anniversaire | -
le matin | -
bonjour | -
""",
    "it": """
oggi | 2026-11-20
che giorno è domani | 2026-11-21
ieri | 2026-11-19
dopodomani | 2026-11-22
l'altro ieri | 2026-11-18
venerdì | 2026-11-27
venerdi | 2026-11-27
sabato | 2026-11-21
lunedì | 2026-11-23
venerdì prossimo | 2026-11-27
il prossimo sabato | 2026-11-28
questo venerdì | 2026-11-20
lunedì scorso | 2026-11-16
venerdì della prossima settimana | 2026-11-27
venerdì fra due settimane | 2026-12-11
fra tre giorni | 2026-11-23
tra due settimane | 2026-12-04
fra un mese | 2026-12-20
tra un anno | 2027-11-20
due settimane fa | 2026-11-06
il tre maggio | 2026-05-03 2027-05-03
il 3 maggio 2027 | 2027-05-03
il ventitré aprile | 2026-04-23 2027-04-23
il ventitre aprile | 2026-04-23 2027-04-23
il primo gennaio | 2026-01-01 2027-01-01
il 24 dicembre | 2026-12-24
il 24/12/2026 | 2026-12-24
natale | 2026-12-25
la vigilia di natale | 2026-12-24
capodanno 2028 | 2028-01-01
ferragosto | 2026-08-15 2027-08-15
venerdì tredici | 2027-08-13
il dodici | 2026-11-12 2026-12-12
il trenta febbraio | -
il mio compleanno | -
la mattina | -
buongiorno | -
""",
}


@pytest.mark.parametrize("row", rows(DAYS), ids=lambda row: f"{row[0]}: {row[1]}")
def test_days_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("DATE", language, words) == value


def test_numbers_between_slashes_are_read_as_the_region_writes_them() -> None:
    assert read("DATE", "en", "12/3/2026", a_finder("en", region="US")) == "2026-12-03"
    assert read("DATE", "en", "12/3/2026", a_finder("en", region="GB")) == "2026-03-12"
    assert read("DATE", "en", "24/12/2026", a_finder("en", region="US")) == "2026-12-24"


@pytest.mark.parametrize(
    ("now", "words", "value"),
    [
        ("2026-01-31T12:00", "in a month", "2026-02-28"),
        ("2028-01-31T12:00", "in a month", "2028-02-29"),
        ("2026-12-31T12:00", "tomorrow", "2027-01-01"),
        ("2028-02-29T12:00", "in a year", "2029-02-28"),
        ("2026-11-20T23:30", "today", "2026-11-21"),  # it is past midnight in Berlin
        ("2026-05-04T12:00", "february 29th", "2028-02-29"),
        ("8999-12-31T12:00", "in 20 days", "9000-01-20"),
    ],
)
def test_ends_of_months_and_of_years(now: str, words: str, value: str) -> None:
    finder = a_finder("en", now=datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found("DATE", "en", words, finder) == value
