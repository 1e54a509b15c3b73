"""Lengths of time, in seconds."""

from __future__ import annotations

import pytest

from tests.unit.nlu.value_tables import Row, found, read, rows

pytestmark = pytest.mark.unit

SAID = {
    "en": """
ten more minutes | 600
ten minutes | 600
set a timer for ten minutes | 600
timer for 10 minutes please | 600
an hour | 3600
one hour | 3600
half an hour | 1800
half hour timer | 1800
an hour and a half | 5400
one and a half hours | 5400
two and a half hours | 9000
three quarters of an hour | 2700
a quarter of an hour | 900
quarter of an hour | 900
ninety seconds | 90
90 sec | 90
two hours and ten minutes | 7800
one hour ten minutes | 4200
1 hour 30 minutes and 15 seconds | 5415
1h30 | 5400
1 h 30 min | 5400
five-minute timer | 300
a couple of minutes | 120
twenty five minutes | 1500
forty-five minutes | 2700
three days | 259200
two weeks | 1209600
a fortnight | 1209600
1.5 hours | 5400
a minute and a half | 90
for about fifteen minutes | 900
twelve minutes and thirty seconds | 750
wake me in half a minute | 30
a hundred and twenty seconds | 120
the second door | -
ten apples | -
at ten | -
the hours are long | -
minute by minute | -
ten to seven | -
""",
    "de": """
noch zehn minuten | 600
zehn minuten | 600
stell einen timer auf zehn minuten | 600
timer für 10 minuten bitte | 600
eine stunde | 3600
eine halbe stunde | 1800
ne halbe stunde | 1800
anderthalb stunden | 5400
eineinhalb stunden | 5400
zweieinhalb stunden | 9000
zwei und eine halbe stunde | 9000
eine viertelstunde | 900
eine dreiviertelstunde | 2700
drei viertel stunden | 2700
eine stunde und zehn minuten | 4200
eine stunde zehn minuten | 4200
2 stunden, 5 minuten | 7500
neunzig sekunden | 90
90 sek | 90
1h30 | 5400
1,5 stunden | 5400
fünfundvierzig minuten | 2700
fuenf minuten | 300
zwanzig minuten lang | 1200
ein paar minuten | 120
drei tage | 259200
zwei wochen | 1209600
in einer minute | 60
für etwa fünfzehn minuten | 900
zwölf minuten und dreißig sekunden | 750
zwölf minuten und dreissig sekunden | 750
hundertzwanzig sekunden | 120
der zweite | -
zehn äpfel | -
um zehn | -
halb vier | -
die stunden vergehen | -
viertel nach acht | -
""",
    "es": """
diez minutos más | 600
diez minutos | 600
pon un temporizador de diez minutos | 600
temporizador de 10 minutos por favor | 600
una hora | 3600
media hora | 1800
hora y media | 5400
una hora y media | 5400
dos horas y media | 9000
un cuarto de hora | 900
tres cuartos de hora | 2700
noventa segundos | 90
90 seg | 90
dos horas y diez minutos | 7800
una hora con diez minutos | 4200
1h30 | 5400
1 h 30 min | 5400
1,5 horas | 5400
veinticinco minutos | 1500
cuarenta y cinco minutos | 2700
un minuto | 60
minuto y medio | 90
un minuto y medio | 90
un par de minutos | 120
tres días | 259200
dos semanas | 1209600
durante unos quince minutos | 900
doce minutos y treinta segundos | 750
ciento veinte segundos | 120
una hora, cinco minutos | 3900
dentro de media hora | 1800
cinco minutitos | -
diez manzanas | -
a las diez | -
las siete y media | -
el segundo piso | -
las horas pasan | -
""",
    "fr": """
encore dix minutes | 600
dix minutes | 600
mets un minuteur de dix minutes | 600
minuteur de 10 minutes s'il te plaît | 600
une heure | 3600
une demi-heure | 1800
une demi heure | 1800
demi-heure | 1800
une heure et demie | 5400
deux heures et demie | 9000
un quart d'heure | 900
trois quarts d'heure | 2700
une heure et quart | 4500
une demi-minute | 30
quatre-vingt-dix secondes | 90
90 s | 90
deux heures et dix minutes | 7800
une heure dix minutes | 4200
1h30 | 5400
1 h 30 min | 5400
une heure trente | 5400
1,5 heure | 5400
vingt-cinq minutes | 1500
quarante-cinq minutes | 2700
une minute et demie | 90
trois jours | 259200
deux semaines | 1209600
pendant environ quinze minutes | 900
douze minutes et trente secondes | 750
cent vingt secondes | 120
soixante-dix minutes | 4200
deux heures, cinq minutes | 7500
dix pommes | -
à midi | -
le second étage | -
les heures passent | -
la minute de vérité | -
""",
    "it": """
altri dieci minuti | 600
dieci minuti | 600
imposta un timer di dieci minuti | 600
timer di 10 minuti per favore | 600
un'ora | 3600
una ora | 3600
mezz'ora | 1800
mezzora | 1800
un'ora e mezza | 5400
un ora e mezza | 5400
due ore e mezza | 9000
un quarto d'ora | 900
tre quarti d'ora | 2700
un'ora e un quarto | 4500
novanta secondi | 90
90 sec | 90
due ore e dieci minuti | 7800
un'ora, dieci minuti | 4200
1h30 | 5400
1 h 30 min | 5400
1,5 ore | 5400
venticinque minuti | 1500
quarantacinque minuti | 2700
un minuto e mezzo | 90
un paio di minuti | 120
tre giorni | 259200
due settimane | 1209600
per circa quindici minuti | 900
dodici minuti e trenta secondi | 750
centoventi secondi | 120
fra mezz'ora | 1800
dieci mele | -
alle dieci | -
le sette e mezza | -
il secondo piano | -
passano le ore | -
""",
}
ASKED = {
    "en": """
ten | 600 36000 10
1:30:00 | 5400
0:45 | 2700
for ten minutes | 600
banana | -
-5 | -
""",
    "de": "zehn | 600 36000 10\nfür zehn minuten | 600\nkeine ahnung | -",
    "es": "diez | 600 36000 10\nde diez minutos | 600\nno sé | -",
    "fr": "dix | 600 36000 10\npendant dix minutes | 600\nje ne sais pas | -",
    "it": "dieci | 600 36000 10\nper dieci minuti | 600\nnon lo so | -",
}


@pytest.mark.parametrize("row", rows(SAID), ids=lambda row: f"{row[0]}: {row[1]}")
def test_lengths_of_time_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("DURATION", language, words) == value


@pytest.mark.parametrize("row", rows(ASKED), ids=lambda row: f"{row[0]}: {row[1]}")
def test_lengths_of_time_that_were_asked_for(row: Row) -> None:
    language, words, value = row
    assert read("DURATION", language, words) == value


@pytest.mark.parametrize("words", ["99999999999 hours", "nine billion weeks", "9" * 40 + " hours"])
def test_what_no_calendar_holds(words: str) -> None:
    assert found("DURATION", "en", words) == "-"
