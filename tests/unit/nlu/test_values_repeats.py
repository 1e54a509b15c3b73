"""Ranges of time and repeating times."""

from __future__ import annotations

import pytest

from tests.unit.nlu.value_tables import Row, found, rows

pytestmark = pytest.mark.unit

WEEKDAYS = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"
RANGES = {
    "en": """
in march | 03-01T00:00/04-01T00:00 2027-03-01T00:00/2027-04-01T00:00
in may 2027 | 2027-05-01T00:00/2027-06-01T00:00
in 1995 | 1995-01-01T00:00/1996-01-01T00:00
the last two hours | 11-20T13:00/11-20T15:00
in the next hour | 11-20T15:00/11-20T16:00
the rest of the day | 11-20T15:00/11-21T00:00
the rest of the week | 11-20T15:00/11-23T00:00
after 6 pm | 11-20T18:00/
before noon | /11-21T12:00
tomorrow from three to five | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T05:00
from 9 am to 5 pm | 11-21T09:00/11-21T17:00
between 4 and 5 pm | 11-20T16:00/11-20T17:00 11-21T04:00/11-21T17:00
from nine to five tomorrow | 11-21T09:00/11-21T17:00 11-21T21:00/11-22T05:00
next week | 11-23T00:00/11-30T00:00
this week | 11-16T00:00/11-23T00:00
this weekend | 11-21T00:00/11-23T00:00
next weekend | 11-28T00:00/11-30T00:00
next month | 12-01T00:00/2027-01-01T00:00
this year | 01-01T00:00/2027-01-01T00:00
tomorrow morning | 11-21T06:00/11-21T12:00
this afternoon | 11-20T12:00/11-20T18:00
from monday to friday | 11-23T00:00/11-28T00:00
until five pm | /11-20T17:00
since yesterday at noon | 11-19T12:00/
tomorrow | 11-21T00:00/11-22T00:00
for the next two hours | 11-20T15:00/11-20T17:00
on the way | -
""",
    "de": """
im jahr 1995 | 1995-01-01T00:00/1996-01-01T00:00
mai 2027 | 2027-05-01T00:00/2027-06-01T00:00
die letzten zwei stunden | 11-20T13:00/11-20T15:00
in der nächsten stunde | 11-20T15:00/11-20T16:00
den rest des tages | 11-20T15:00/11-21T00:00
nach achtzehn uhr | 11-20T18:00/
morgen von drei bis fünf | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T05:00
von 9 bis 17 uhr | 11-21T09:00/11-21T17:00 11-20T21:00/11-21T17:00
zwischen 15 und 17 uhr | 11-21T15:00/11-21T17:00
nächste woche | 11-23T00:00/11-30T00:00
diese woche | 11-16T00:00/11-23T00:00
am wochenende | 11-21T00:00/11-23T00:00
nächstes wochenende | 11-28T00:00/11-30T00:00
nächsten monat | 12-01T00:00/2027-01-01T00:00
dieses jahr | 01-01T00:00/2027-01-01T00:00
morgen früh | 11-21T06:00/11-21T12:00
heute nachmittag | 11-20T12:00/11-20T18:00
von montag bis freitag | 11-23T00:00/11-28T00:00
bis siebzehn uhr | /11-20T17:00
morgen | 11-21T00:00/11-22T00:00
die nächsten zwei stunden | 11-20T15:00/11-20T17:00
unterwegs | -
""",
    "es": """
en marzo | 03-01T00:00/04-01T00:00 2027-03-01T00:00/2027-04-01T00:00
en mayo 2027 | 2027-05-01T00:00/2027-06-01T00:00
las últimas dos horas | 11-20T13:00/11-20T15:00
en la próxima hora | 11-20T15:00/11-20T16:00
el resto del día | 11-20T15:00/11-21T00:00
después de las seis de la tarde | 11-20T18:00/
mañana de tres a cinco | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T05:00
de las nueve a las diecisiete horas | 11-21T09:00/11-21T17:00 11-20T21:00/11-21T17:00
entre las tres y las cinco de la tarde | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T17:00
la semana que viene | 11-23T00:00/11-30T00:00
esta semana | 11-16T00:00/11-23T00:00
este fin de semana | 11-21T00:00/11-23T00:00
el próximo fin de semana | 11-28T00:00/11-30T00:00
el mes que viene | 12-01T00:00/2027-01-01T00:00
este año | 01-01T00:00/2027-01-01T00:00
mañana por la mañana | 11-21T06:00/11-21T12:00
esta tarde | 11-20T12:00/11-20T18:00
de lunes a viernes | 11-23T00:00/11-28T00:00
mañana | 11-21T00:00/11-22T00:00
las próximas dos horas | 11-20T15:00/11-20T17:00
en camino | -
""",
    "fr": """
en mars | 03-01T00:00/04-01T00:00 2027-03-01T00:00/2027-04-01T00:00
en mai 2027 | 2027-05-01T00:00/2027-06-01T00:00
les deux dernières heures | -
les dernières deux heures | 11-20T13:00/11-20T15:00
le reste de la journée | 11-20T15:00/11-21T00:00
après dix-huit heures | 11-20T18:00/
demain de trois heures à cinq heures | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T05:00
demain de 9h à 17h | 11-21T09:00/11-21T17:00 11-21T21:00/11-22T17:00
entre quinze heures et dix-sept heures | 11-21T15:00/11-21T17:00
la semaine prochaine | 11-23T00:00/11-30T00:00
cette semaine | 11-16T00:00/11-23T00:00
ce week-end | 11-21T00:00/11-23T00:00
le week-end prochain | 11-28T00:00/11-30T00:00
le mois prochain | 12-01T00:00/2027-01-01T00:00
cette année | 01-01T00:00/2027-01-01T00:00
demain matin | 11-21T06:00/11-21T12:00
cet après-midi | 11-20T12:00/11-20T18:00
du lundi au vendredi | 11-23T00:00/11-28T00:00
demain | 11-21T00:00/11-22T00:00
les prochaines deux heures | 11-20T15:00/11-20T17:00
en route | -
""",
    "it": """
nel 1995 | 1995-01-01T00:00/1996-01-01T00:00
maggio 2027 | 2027-05-01T00:00/2027-06-01T00:00
nelle ultime due ore | 11-20T13:00/11-20T15:00
nella prossima ora | 11-20T15:00/11-20T16:00
il resto della giornata | 11-20T15:00/11-21T00:00
dopo le sei di sera | 11-20T18:00/
domani dalle tre alle cinque | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T05:00
dalle nove alle diciassette di domani | 11-21T09:00/11-21T17:00 11-21T21:00/11-22T17:00
tra le tre e le cinque del pomeriggio | 11-21T15:00/11-21T17:00 11-21T03:00/11-21T17:00
la settimana prossima | 11-23T00:00/11-30T00:00
questa settimana | 11-16T00:00/11-23T00:00
questo fine settimana | 11-21T00:00/11-23T00:00
il prossimo weekend | 11-28T00:00/11-30T00:00
il mese prossimo | 12-01T00:00/2027-01-01T00:00
quest'anno | 01-01T00:00/2027-01-01T00:00
domani mattina | 11-21T06:00/11-21T12:00
questo pomeriggio | 11-20T12:00/11-20T18:00
da lunedì a venerdì | 11-23T00:00/11-28T00:00
domani | 11-21T00:00/11-22T00:00
le prossime due ore | 11-20T15:00/11-20T17:00
per strada | -
""",
}
REPEATS = {
    "en": """
every day | 11-20T00:00@FREQ=DAILY
daily at 7 am | 11-21T07:00@FREQ=DAILY
every day at seven | 11-21T07:00@FREQ=DAILY 11-20T19:00@FREQ=DAILY
every monday at eight am | 11-23T08:00@FREQ=WEEKLY;BYDAY=MO
wake me every weekday at 6:30 am | 11-23T06:30@{WEEKDAYS}
on weekdays at noon | 11-23T12:00@{WEEKDAYS}
every monday and wednesday | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,WE
every monday, wednesday and friday at 18:00 | 11-20T18:00@FREQ=WEEKLY;BYDAY=MO,WE,FR
mondays and thursdays | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,TH
monday to friday | 11-20T00:00@{WEEKDAYS}
every other day | 11-20T00:00@FREQ=DAILY;INTERVAL=2
every two weeks | 11-20T00:00@FREQ=WEEKLY;INTERVAL=2
every three hours | 11-20T18:00@FREQ=HOURLY;INTERVAL=3
every hour | 11-20T16:00@FREQ=HOURLY
every weekend | 11-21T00:00@FREQ=WEEKLY;BYDAY=SA,SU
every morning at seven | 11-21T07:00@FREQ=DAILY
every evening | 11-20T19:00@FREQ=DAILY
every month on the first | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
every year | 11-20T00:00@FREQ=YEARLY
at nine pm every friday | 11-20T21:00@FREQ=WEEKLY;BYDAY=FR
every apple | -
monday at eight | -
""",
    "de": """
jeden tag | 11-20T00:00@FREQ=DAILY
täglich um sieben uhr morgens | 11-21T07:00@FREQ=DAILY
jeden tag um sieben | 11-21T07:00@FREQ=DAILY 11-20T19:00@FREQ=DAILY
jeden montag um acht uhr früh | 11-23T08:00@FREQ=WEEKLY;BYDAY=MO
weck mich werktags um 06:30 | 11-23T06:30@{WEEKDAYS}
unter der woche um halb sieben | 11-23T06:30@{WEEKDAYS} 11-20T18:30@{WEEKDAYS}
jeden montag und mittwoch | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,WE
jeden montag, mittwoch und freitag um 18 uhr | 11-20T18:00@FREQ=WEEKLY;BYDAY=MO,WE,FR
montags und donnerstags | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,TH
von montag bis freitag | 11-20T00:00@{WEEKDAYS}
jeden zweiten tag | 11-20T00:00@FREQ=DAILY;INTERVAL=2
alle zwei wochen | 11-20T00:00@FREQ=WEEKLY;INTERVAL=2
alle drei stunden | 11-20T18:00@FREQ=HOURLY;INTERVAL=3
jede stunde | 11-20T16:00@FREQ=HOURLY
jedes wochenende | 11-21T00:00@FREQ=WEEKLY;BYDAY=SA,SU
jeden morgen um sieben | 11-21T07:00@FREQ=DAILY
jeden abend | 11-20T19:00@FREQ=DAILY
am ersten jedes monats | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
jedes jahr | 11-20T00:00@FREQ=YEARLY
jeder apfel | -
montag um acht | -
""",
    "es": """
todos los días | 11-20T00:00@FREQ=DAILY
cada día a las siete de la mañana | 11-21T07:00@FREQ=DAILY
todos los días a las siete | 11-21T07:00@FREQ=DAILY 11-20T19:00@FREQ=DAILY
todos los lunes a las ocho de la mañana | 11-23T08:00@FREQ=WEEKLY;BYDAY=MO
despiértame entre semana a las 06:30 | 11-23T06:30@{WEEKDAYS}
cada lunes y miércoles | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,WE
los lunes, miércoles y viernes a las 18:00 | 11-20T18:00@FREQ=WEEKLY;BYDAY=MO,WE,FR
los lunes y los jueves | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,TH
de lunes a viernes | 11-20T00:00@{WEEKDAYS}
cada dos días | 11-20T00:00@FREQ=DAILY;INTERVAL=2
cada dos semanas | 11-20T00:00@FREQ=WEEKLY;INTERVAL=2
cada tres horas | 11-20T18:00@FREQ=HOURLY;INTERVAL=3
cada hora | 11-20T16:00@FREQ=HOURLY
todos los fines de semana | 11-21T00:00@FREQ=WEEKLY;BYDAY=SA,SU
todas las mañanas a las siete | 11-21T07:00@FREQ=DAILY
todas las noches | 11-20T21:00@FREQ=DAILY
el día uno de cada mes | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
todos los años | 11-20T00:00@FREQ=YEARLY
cada manzana | -
el lunes a las ocho | -
""",
    "fr": """
tous les jours | 11-20T00:00@FREQ=DAILY
chaque jour à sept heures du matin | 11-21T07:00@FREQ=DAILY
tous les jours à sept heures | 11-21T07:00@FREQ=DAILY 11-20T19:00@FREQ=DAILY
tous les lundis à huit heures du matin | 11-23T08:00@FREQ=WEEKLY;BYDAY=MO
réveille-moi en semaine à 06:30 | 11-23T06:30@{WEEKDAYS}
chaque lundi et mercredi | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,WE
tous les lundis, mercredis et vendredis à 18 heures | 11-20T18:00@FREQ=WEEKLY;BYDAY=MO,WE,FR
le lundi et le jeudi | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,TH
du lundi au vendredi | 11-20T00:00@{WEEKDAYS}
un jour sur deux | 11-20T00:00@FREQ=DAILY;INTERVAL=2
toutes les deux semaines | 11-20T00:00@FREQ=WEEKLY;INTERVAL=2
toutes les trois heures | 11-20T18:00@FREQ=HOURLY;INTERVAL=3
toutes les heures | 11-20T16:00@FREQ=HOURLY
tous les week-ends | 11-21T00:00@FREQ=WEEKLY;BYDAY=SA,SU
tous les matins à sept heures | 11-21T07:00@FREQ=DAILY
tous les soirs | 11-20T19:00@FREQ=DAILY
le premier de chaque mois | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
le 1 de chaque mois | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
tous les ans | 11-20T00:00@FREQ=YEARLY
chaque pomme | -
lundi à huit heures | -
""",
    "it": """
ogni giorno | 11-20T00:00@FREQ=DAILY
tutti i giorni alle sette di mattina | 11-21T07:00@FREQ=DAILY
ogni giorno alle sette | 11-21T07:00@FREQ=DAILY 11-20T19:00@FREQ=DAILY
ogni lunedì alle otto di mattina | 11-23T08:00@FREQ=WEEKLY;BYDAY=MO
svegliami nei giorni feriali alle 06:30 | 11-23T06:30@{WEEKDAYS}
ogni lunedì e mercoledì | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,WE
ogni lunedì, mercoledì e venerdì alle 18:00 | 11-20T18:00@FREQ=WEEKLY;BYDAY=MO,WE,FR
il lunedì e il giovedì | 11-23T00:00@FREQ=WEEKLY;BYDAY=MO,TH
dal lunedì al venerdì | 11-20T00:00@{WEEKDAYS}
ogni due giorni | 11-20T00:00@FREQ=DAILY;INTERVAL=2
ogni due settimane | 11-20T00:00@FREQ=WEEKLY;INTERVAL=2
ogni tre ore | 11-20T18:00@FREQ=HOURLY;INTERVAL=3
ogni ora | 11-20T16:00@FREQ=HOURLY
ogni fine settimana | 11-21T00:00@FREQ=WEEKLY;BYDAY=SA,SU
ogni mattina alle sette | 11-21T07:00@FREQ=DAILY
ogni sera | 11-20T19:00@FREQ=DAILY
il primo di ogni mese | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
il giorno uno di ogni mese | 12-01T00:00@FREQ=MONTHLY;BYMONTHDAY=1
ogni anno | 11-20T00:00@FREQ=YEARLY
ogni mela | -
lunedì alle otto | -
""",
}


@pytest.mark.parametrize("row", rows(RANGES), ids=lambda row: f"{row[0]}: {row[1]}")
def test_ranges_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("INTERVAL", language, words) == value


@pytest.mark.parametrize("row", rows(REPEATS), ids=lambda row: f"{row[0]}: {row[1]}")
def test_repeating_times_in_a_sentence(row: Row) -> None:
    language, words, value = row
    assert found("RECURRENCE", language, words) == value.replace("{WEEKDAYS}", WEEKDAYS)
