"""Times of day and moments: the next one to come first, or the one that people mean on another day."""

from __future__ import annotations

import pytest

from tests.unit.nlu.value_tables import Row, found, read, rows

pytestmark = pytest.mark.unit

TIMES = {
    "en": """
half past three | 15:30 03:30
wake me at half past six | 18:30 06:30
half seven | 19:30 07:30
quarter past eight | 20:15 08:15
a quarter to nine | 20:45 08:45
ten to seven | 18:50 06:50
twenty five past four | 16:25 04:25
five minutes after two | 02:05 14:05
7 pm | 19:00
7pm | 19:00
7:30 a.m. | 07:30
seven p m | 19:00
12 am | 00:00
12 pm | 12:00
seven in the morning | 07:00
three in the afternoon | 15:00
eight in the evening | 20:00
ten at night | 22:00
2 at night | 02:00
at seven | 19:00 07:00
at seven thirty | 19:30 07:30
seven o'clock | 19:00 07:00
7:30 | 19:30 07:30
07:30 | 07:30
19:45 | 19:45
19:45:10 | 19:45
noon | 12:00
at midnight | 00:00
seven oh five | 19:05 07:05
fourteen hundred hours | 14:00
quarter past twelve | 00:15 12:15
at 6 | 18:00 06:00
at six forty five in the morning | 06:45
seven apples | -
nine to five | -
25:00 | -
at 61 | -
half the people | -
one two three | -
call me at home | -
the morning | -
""",
    "de": """
halb vier | 15:30 03:30
weck mich um halb sieben | 18:30 06:30
viertel nach acht | 20:15 08:15
viertel vor neun | 20:45 08:45
viertel vier | 15:15 03:15
drei viertel vier | 15:45 03:45
dreiviertel acht | 19:45 07:45
zehn vor sieben | 18:50 06:50
fünf vor halb vier | 15:25 03:25
fünf nach halb vier | 15:35 03:35
zwanzig nach vier | 16:20 04:20
fünf minuten nach zwei | 02:05 14:05
14 Uhr 30 | 14:30
14 uhr | 14:00
um 14:30 uhr | 14:30
14.30 Uhr | 14:30
sieben uhr morgens | 07:00
sieben uhr früh | 07:00
um drei uhr nachmittags | 15:00
acht uhr abends | 20:00
um zehn uhr nachts | 22:00
zwei uhr nachts | 02:00
abends um halb acht | 19:30
um sieben | 19:00 07:00
um sieben uhr dreißig | 19:30 07:30
punkt sieben | 19:00 07:00
7:30 | 07:30 19:30
07:30 | 07:30
19:45 | 19:45
mitternacht | 00:00
zu mittag | 12:00
siebzehn uhr fünfzehn | 17:15
gegen acht | 20:00 08:00
sieben äpfel | -
halb so wild | -
25:00 | -
ein viertel der leute | -
guten morgen | -
um himmels willen | -
eins zwei drei | -
""",
    "es": """
las siete y media de la tarde | 19:30
a las siete y media | 19:30 07:30
las ocho y cuarto | 20:15 08:15
las nueve menos cuarto | 20:45 08:45
las siete menos diez | 18:50 06:50
las cuatro y veinticinco | 16:25 04:25
a la una | 01:00 13:00
la una y media | 01:30 13:30
a las siete | 19:00 07:00
las siete en punto | 19:00 07:00
las tres de la tarde | 15:00
las siete de la mañana | 07:00
las diez de la noche | 22:00
las dos de la madrugada | 02:00
las doce del mediodía | 12:00
mediodía | 12:00
a medianoche | 00:00
a las 19:30 | 19:30
19:45 | 19:45
07:30 | 07:30
7:30 | 07:30 19:30
a las 7 pm | 19:00
7:30 a.m. | 07:30
un cuarto para las ocho | 19:45 07:45
diez para las ocho | 19:50 07:50
las catorce horas | 14:00
catorce horas treinta minutos | 14:30
a las seis cuarenta y cinco de la mañana | 06:45
despiértame a las seis y cuarto | 18:15 06:15
las veinte treinta | 20:30
a las 6 | 18:00 06:00
las siete manzanas | 19:00 07:00
siete manzanas | -
25:00 | -
buenos días | -
por la mañana | -
uno dos tres | -
la media naranja | -
""",
    "fr": """
sept heures et demie | 19:30 07:30
à sept heures et demie du matin | 07:30
huit heures et quart | 20:15 08:15
neuf heures moins le quart | 20:45 08:45
sept heures moins dix | 18:50 06:50
quatre heures vingt-cinq | 16:25 04:25
à une heure | 01:00 13:00
sept heures | 19:00 07:00
sept heures pile | 19:00 07:00
trois heures de l'après-midi | 15:00
sept heures du matin | 07:00
dix heures du soir | 22:00
deux heures de la nuit | 02:00
midi | 12:00
à midi | 12:00
midi et demi | 12:30
midi et quart | 12:15
midi moins le quart | 11:45
midi moins dix | 11:50
minuit | 00:00
minuit et demi | 00:30
19h30 | 19:30
à 19 h | 19:00
19:45 | 19:45
07:30 | 07:30
7h30 | 19:30 07:30
quatorze heures trente | 14:30
vingt et une heures | 21:00
réveille-moi à six heures et quart | 18:15 06:15
vers huit heures du soir | 20:00
seize heures quarante-cinq | 16:45
à 6 h 45 du matin | 06:45
sept pommes | -
25:00 | -
tout à l'heure | -
quelle heure est-il | -
un quart des gens | -
le matin | -
à la maison | -
""",
    "it": """
le sette e mezza | 19:30 07:30
alle sette e mezza di sera | 19:30
le otto e un quarto | 20:15 08:15
le nove meno un quarto | 20:45 08:45
le sette meno dieci | 18:50 06:50
le quattro e venticinque | 16:25 04:25
all'una | 01:00 13:00
l'una e mezza | 01:30 13:30
alle sette | 19:00 07:00
le sette in punto | 19:00 07:00
le tre del pomeriggio | 15:00
le sette di mattina | 07:00
le sette del mattino | 07:00
le dieci di sera | 22:00
le due di notte | 02:00
mezzogiorno | 12:00
a mezzanotte | 00:00
mezzogiorno e mezzo | 12:30
alle 19.30 | 19:30
alle 19:30 | 19:30
19:45 | 19:45
07:30 | 07:30
7:30 | 07:30 19:30
le quattordici e trenta | 14:30
alle ore quattordici | 14:00
le ventuno | 21:00
svegliami alle sei e un quarto | 18:15 06:15
verso le otto di sera | 20:00
le sei e quarantacinque del mattino | 06:45
le otto e tre quarti | 20:45 08:45
alle 6 | 18:00 06:00
alle sei di stasera | 18:00 06:00
sette mele | -
25:00 | -
che ore sono | -
la mattina | -
uno due tre | -
alla stazione | -
""",
}
MOMENTS = {
    "en": """
tomorrow at seven | 11-21T07:00 11-21T19:00
tomorrow at seven pm | 11-21T19:00
at seven tomorrow | 11-21T07:00 11-21T19:00
tomorrow morning | 11-21T08:00
tomorrow morning at seven | 11-21T07:00
tomorrow evening at half past eight | 11-21T20:30
in ten minutes | 11-20T15:10
in two hours | 11-20T17:00
in an hour and a half | 11-20T16:30
in three days | 11-23T15:00
in a week | 11-27T15:00
in two months | 2027-01-20T15:00
ten minutes from now | 11-20T15:10
next monday morning | 11-23T08:00
next monday at nine am | 11-23T09:00
on friday at noon | 11-27T12:00
monday at 14:30 | 11-23T14:30
at 8 pm on sunday | 11-22T20:00
the 3rd of may at seven | 2027-05-03T07:00 2027-05-03T19:00
december 24th at 6 pm | 12-24T18:00
tonight | 11-20T19:00
tonight at eight | 11-20T20:00
this evening at nine | 11-20T21:00
this afternoon at four | 11-20T16:00
today at five | 11-20T17:00 11-20T05:00
at seven | 11-20T19:00 11-21T07:00
at noon | 11-21T12:00
at 7 am | 11-21T07:00
day after tomorrow at three | 11-22T15:00 11-22T03:00
wake me up at six thirty tomorrow morning | 11-21T06:30
next saturday at 10:15 am | 11-28T10:15
remind me in a quarter of an hour | 11-20T15:15
in a minute | 11-20T15:01
seven apples | -
good morning | -
someday | -
in the kitchen | -
""",
    "de": """
morgen um sieben | 11-21T07:00 11-21T19:00
morgen um sieben uhr abends | 11-21T19:00
um sieben morgen | 11-21T07:00 11-21T19:00
morgen früh | 11-21T08:00
morgen früh um sieben | 11-21T07:00
morgen abend um halb neun | 11-21T20:30
in zehn minuten | 11-20T15:10
in zwei stunden | 11-20T17:00
in anderthalb stunden | 11-20T16:30
in drei tagen | 11-23T15:00
in einer woche | 11-27T15:00
in zwei monaten | 2027-01-20T15:00
montagmorgen | 11-23T08:00
nächsten montag um neun uhr morgens | 11-23T09:00
am freitag um zwölf | 11-27T12:00 11-27T00:00
montag um 14:30 uhr | 11-23T14:30
am sonntag um 20 uhr | 11-22T20:00
am dritten mai um sieben | 2027-05-03T07:00 2027-05-03T19:00
am 24. dezember um 18 uhr | 12-24T18:00
heute abend | 11-20T19:00
heute abend um acht | 11-20T20:00
heute nachmittag um vier | 11-20T16:00
heute um fünf | 11-20T17:00 11-20T05:00
um sieben | 11-20T19:00 11-21T07:00
um sieben uhr früh | 11-21T07:00
übermorgen um drei | 11-22T15:00 11-22T03:00
weck mich morgen früh um halb sieben | 11-21T06:30
nächsten samstag um 10:15 | 11-28T10:15 11-28T22:15
erinnere mich in einer viertelstunde | 11-20T15:15
samstagabend um acht | 11-21T20:00
in einer minute | 11-20T15:01
sieben äpfel | -
guten morgen | -
irgendwann | -
in der küche | -
""",
    "es": """
mañana a las siete | 11-21T07:00 11-21T19:00
mañana a las siete de la tarde | 11-21T19:00
a las siete de mañana | 11-21T07:00 11-21T19:00
mañana por la mañana | 11-21T08:00
mañana por la mañana a las siete | 11-21T07:00
mañana por la noche a las ocho y media | 11-21T20:30
en diez minutos | 11-20T15:10
dentro de dos horas | 11-20T17:00
en hora y media | 11-20T16:30
en tres días | 11-23T15:00
dentro de una semana | 11-27T15:00
dentro de dos meses | 2027-01-20T15:00
el lunes por la mañana | 11-23T08:00
el próximo lunes a las nueve de la mañana | 11-23T09:00
el viernes a mediodía | 11-27T12:00
el lunes a las 14:30 | 11-23T14:30
el domingo a las ocho de la tarde | 11-22T20:00
el tres de mayo a las siete | 2027-05-03T07:00 2027-05-03T19:00
el 24 de diciembre a las seis de la tarde | 12-24T18:00
esta noche | 11-20T21:00
esta noche a las ocho | 11-20T20:00
esta tarde a las cuatro | 11-20T16:00
hoy a las cinco | 11-20T17:00 11-20T05:00
a las siete | 11-20T19:00 11-21T07:00
a las siete de la mañana | 11-21T07:00
pasado mañana a las tres | 11-22T15:00 11-22T03:00
despiértame mañana a las seis y media de la mañana | 11-21T06:30
el lunes que viene a las diez y cuarto | 11-23T10:15 11-23T22:15
recuérdamelo en un cuarto de hora | 11-20T15:15
el sábado por la noche | 11-21T21:00
en un minuto | 11-20T15:01
siete manzanas | -
buenos días | -
algún día | -
en la cocina | -
""",
    "fr": """
demain à sept heures | 11-21T07:00 11-21T19:00
demain à sept heures du soir | 11-21T19:00
à sept heures demain | 11-21T07:00 11-21T19:00
demain matin | 11-21T08:00
demain matin à sept heures | 11-21T07:00
demain soir à huit heures et demie | 11-21T20:30
dans dix minutes | 11-20T15:10
dans deux heures | 11-20T17:00
dans une heure et demie | 11-20T16:30
dans trois jours | 11-23T15:00
dans une semaine | 11-27T15:00
dans deux mois | 2027-01-20T15:00
lundi matin | 11-23T08:00
lundi prochain à neuf heures du matin | 11-23T09:00
vendredi à midi | 11-27T12:00
lundi à 14h30 | 11-23T14:30
dimanche à vingt heures | 11-22T20:00
le trois mai à sept heures | 2027-05-03T07:00 2027-05-03T19:00
le 24 décembre à 18 heures | 12-24T18:00
ce soir | 11-20T19:00
ce soir à huit heures | 11-20T20:00
cet après-midi à quatre heures | 11-20T16:00
aujourd'hui à cinq heures | 11-20T17:00 11-20T05:00
à sept heures | 11-20T19:00 11-21T07:00
à sept heures du matin | 11-21T07:00
après-demain à trois heures | 11-22T15:00 11-22T03:00
réveille-moi demain matin à six heures et demie | 11-21T06:30
samedi prochain à dix heures et quart | 11-28T10:15 11-28T22:15
rappelle-moi dans un quart d'heure | 11-20T15:15
samedi soir à huit heures | 11-21T20:00
dans une minute | 11-20T15:01
sept pommes | -
bonjour | -
un jour | -
dans la cuisine | -
""",
    "it": """
domani alle sette | 11-21T07:00 11-21T19:00
domani alle sette di sera | 11-21T19:00
alle sette di domani | 11-21T07:00 11-21T19:00
domani mattina | 11-21T08:00
domani mattina alle sette | 11-21T07:00
domani sera alle otto e mezza | 11-21T20:30
fra dieci minuti | 11-20T15:10
tra due ore | 11-20T17:00
fra un'ora e mezza | 11-20T16:30
fra tre giorni | 11-23T15:00
tra una settimana | 11-27T15:00
fra due mesi | 2027-01-20T15:00
lunedì mattina | 11-23T08:00
lunedì prossimo alle nove di mattina | 11-23T09:00
venerdì a mezzogiorno | 11-27T12:00
lunedì alle 14:30 | 11-23T14:30
domenica alle venti | 11-22T20:00
il tre maggio alle sette | 2027-05-03T07:00 2027-05-03T19:00
il 24 dicembre alle 18 | 12-24T18:00
stasera | 11-20T19:00
stasera alle otto | 11-20T20:00
questo pomeriggio alle quattro | 11-20T16:00
oggi alle cinque | 11-20T17:00 11-20T05:00
alle sette | 11-20T19:00 11-21T07:00
alle sette di mattina | 11-21T07:00
dopodomani alle tre | 11-22T15:00 11-22T03:00
svegliami domani mattina alle sei e mezza | 11-21T06:30
sabato prossimo alle dieci e un quarto | 11-28T10:15 11-28T22:15
ricordamelo fra un quarto d'ora | 11-20T15:15
sabato sera alle otto | 11-21T20:00
tra un minuto | 11-20T15:01
sette mele | -
buongiorno | -
un giorno | -
in cucina | -
""",
}
ASKED = {
    "en": "seven | 19:00 07:00\n7 | 19:00 07:00\nseven thirty | 19:30 07:30\nmaybe | -\n40 | -",
    "de": "sieben | 19:00 07:00\nhalb acht | 19:30 07:30\nsieben dreißig | 19:30 07:30\nweiß nicht | -",
    "es": "siete | 19:00 07:00\nlas siete | 19:00 07:00\na las siete y media | 19:30 07:30\nno sé | -",
    "fr": "sept | 19:00 07:00\nsept heures | 19:00 07:00\nà sept heures et demie | 19:30 07:30\naucune idée | -",
    "it": "sette | 19:00 07:00\nle sette | 19:00 07:00\nalle sette e mezza | 19:30 07:30\nnon so | -",
}


@pytest.mark.parametrize("row", rows(TIMES), ids=lambda row: f"{row[0]}: {row[1]}")
def test_times_of_day_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("TIME", language, words) == value


@pytest.mark.parametrize("row", rows(MOMENTS), ids=lambda row: f"{row[0]}: {row[1]}")
def test_moments_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("DATETIME", language, words) == value


@pytest.mark.parametrize("row", rows(ASKED), ids=lambda row: f"{row[0]}: {row[1]}")
def test_times_that_were_asked_for(row: Row) -> None:
    language, words, value = row
    assert read("TIME", language, words) == value


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "tomorrow"), ("de", "morgen"), ("es", "mañana"), ("fr", "demain"), ("it", "domani")],
)
def test_a_day_alone_is_a_date_where_a_moment_is_asked_for(language: str, words: str) -> None:
    assert read("DATETIME", language, words) == "2026-11-21"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "wake me every weekday at half past six"),
        ("de", "weck mich jeden tag um halb sieben"),
        ("es", "despiértame todos los días a las seis y media"),
        ("fr", "réveille-moi tous les jours à six heures et demie"),
        ("it", "svegliami ogni giorno alle sei e mezza"),
    ],
)
def test_a_time_that_repeats_is_the_one_that_people_mean(language: str, words: str) -> None:
    assert found("TIME", language, words) == "06:30 18:30"
    assert found("DATETIME", language, words) == "11-21T06:30 11-20T18:30"


def test_an_hour_and_a_day_where_a_moment_is_asked_for() -> None:
    assert read("DATETIME", "en", "eight tomorrow") == "11-21T08:00 11-21T20:00"
    assert found("DATETIME", "en", "eight tomorrow") == "2026-11-21"
