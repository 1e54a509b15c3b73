"""What timers and alarms say, in five languages. `handler.py` fills the templates; numbers and dates come from CLDR.

Lengths of time stand where their language needs no case ("Noch 2 Tage"), and labels before a colon, so that whatever
the user called a timer fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from antiphon.skills.spoken import FALLBACK, locale_of, spoken_date, spoken_length, spoken_list, spoken_time
from skills.timers.schedule import WEEKDAYS, days_of


@dataclass(frozen=True)
class Words:
    """Sentences of one language, with `{length}`, `{label}`, `{when}`, `{days}`, `{list}` and `{count}`."""

    for_how_long: str
    for_what_time: str
    timer_set: str
    timer_set_label: str
    no_timer: str
    no_such_timer: str
    left: str
    left_label: str
    about: str
    several_timers: str
    ended: str
    ringing: str
    which_timer: str
    timer_cancelled: str
    timers_cancelled: str
    alarm_set: str
    alarm_repeats: str
    universal: str
    no_alarm: str
    no_such_alarm: str
    alarm_at: str
    several_alarms: str
    missed: str
    which_alarm: str
    alarm_cancelled: str
    alarms_cancelled: str
    stopped: str
    nothing_rings: str
    snoozed: str
    too_many: str
    bad_length: str
    bad_time: str
    unnamed: str
    colon: str
    today: str
    tomorrow: str
    on_weekday: str
    on_date: str
    at_one: str
    daily: str
    weekdays: str
    weekends: str
    weekly: str
    repeating: str


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        for_how_long="For how long?",
        for_what_time="For what time?",
        timer_set="Timer set: {length}, starting now.",
        timer_set_label="{label}: {length}, starting now.",
        no_timer="No timer is running.",
        no_such_timer="I found no such timer.",
        left="{length} left.",
        left_label="{label}: {length} left.",
        about="about {length}",
        several_timers="You have {count} timers.",
        ended="ended {length} ago",
        ringing="is ringing",
        which_timer="Which one? {list}.",
        timer_cancelled="Timer cancelled.",
        timers_cancelled="{count} timers cancelled.",
        alarm_set="Alarm set: {when}.",
        alarm_repeats="Alarm set: {days}, first {when}.",
        universal=" That is universal time: I do not know where you are.",
        no_alarm="No alarm is set.",
        no_such_alarm="I found no such alarm.",
        alarm_at="Your alarm is set: {when}.",
        several_alarms="You have {count} alarms.",
        missed="was due {when}",
        which_alarm="Which one? {list}.",
        alarm_cancelled="Alarm cancelled.",
        alarms_cancelled="{count} alarms cancelled.",
        stopped="Okay.",
        nothing_rings="Nothing is ringing.",
        snoozed="Okay, again in {length}.",
        too_many="You have {count} already; I cannot keep more. Cancel one first.",
        bad_length="I can set timers from one second to 30 days.",
        bad_time="That time is over or too far away.",
        unnamed="Timer",
        colon="{label}: {text}",
        today="today at {time}",
        tomorrow="tomorrow at {time}",
        on_weekday="{weekday} at {time}",
        on_date="{date} at {time}",
        at_one="",
        daily="every day",
        weekdays="Monday to Friday",
        weekends="on weekends",
        weekly="every {list}",
        repeating="repeating",
    ),
    "de": Words(
        for_how_long="Auf wie lange?",
        for_what_time="Für wie viel Uhr?",
        timer_set="Timer gestellt: {length}, ab jetzt.",
        timer_set_label="{label}: {length}, ab jetzt.",
        no_timer="Es läuft kein Timer.",
        no_such_timer="So einen Timer habe ich nicht gefunden.",
        left="Noch {length}.",
        left_label="{label}: noch {length}.",
        about="etwa {length}",
        several_timers="Du hast {count} Timer.",
        ended="abgelaufen, {length} her",
        ringing="klingelt gerade",
        which_timer="Welchen? {list}.",
        timer_cancelled="Timer gelöscht.",
        timers_cancelled="{count} Timer gelöscht.",
        alarm_set="Wecker gestellt: {when}.",
        alarm_repeats="Wecker gestellt: {days}, zuerst {when}.",
        universal=" Das ist Weltzeit: Ich weiß nicht, wo du bist.",
        no_alarm="Es ist kein Wecker gestellt.",
        no_such_alarm="So einen Wecker habe ich nicht gefunden.",
        alarm_at="Dein Wecker ist gestellt: {when}.",
        several_alarms="Du hast {count} Wecker.",
        missed="war fällig: {when}",
        which_alarm="Welchen? {list}.",
        alarm_cancelled="Wecker gelöscht.",
        alarms_cancelled="{count} Wecker gelöscht.",
        stopped="Okay.",
        nothing_rings="Es klingelt nichts.",
        snoozed="Okay, noch {length}.",
        too_many="Du hast schon {count}; mehr kann ich mir nicht merken. Lösche zuerst einen.",
        bad_length="Ich kann Timer von einer Sekunde bis zu 30 Tagen stellen.",
        bad_time="Diese Zeit ist vorbei oder zu weit weg.",
        unnamed="Timer",
        colon="{label}: {text}",
        today="heute um {time} Uhr",
        tomorrow="morgen um {time} Uhr",
        on_weekday="{weekday} um {time} Uhr",
        on_date="{date} um {time} Uhr",
        at_one="",
        daily="jeden Tag",
        weekdays="Montag bis Freitag",
        weekends="am Wochenende",
        weekly="jeden {list}",
        repeating="regelmäßig",
    ),
    "es": Words(
        for_how_long="¿Para cuánto tiempo?",
        for_what_time="¿Para qué hora?",
        timer_set="Temporizador puesto: {length} desde ahora.",
        timer_set_label="{label}: {length} desde ahora.",
        no_timer="No hay ningún temporizador en marcha.",
        no_such_timer="No he encontrado ese temporizador.",
        left="Tiempo restante: {length}.",
        left_label="{label}: tiempo restante, {length}.",
        about="unos {length}",
        several_timers="Tienes {count} temporizadores.",
        ended="terminó hace {length}",
        ringing="está sonando",
        which_timer="¿Cuál? {list}.",
        timer_cancelled="Temporizador cancelado.",
        timers_cancelled="{count} temporizadores cancelados.",
        alarm_set="Alarma puesta: {when}.",
        alarm_repeats="Alarma puesta: {days}, la primera {when}.",
        universal=" Es hora universal: no sé dónde estás.",
        no_alarm="No hay ninguna alarma puesta.",
        no_such_alarm="No he encontrado esa alarma.",
        alarm_at="Tu alarma está puesta: {when}.",
        several_alarms="Tienes {count} alarmas.",
        missed="tenía que sonar {when}",
        which_alarm="¿Cuál? {list}.",
        alarm_cancelled="Alarma cancelada.",
        alarms_cancelled="{count} alarmas canceladas.",
        stopped="Vale.",
        nothing_rings="No está sonando nada.",
        snoozed="Vale, dentro de {length}.",
        too_many="Ya tienes {count}; no puedo guardar más. Cancela uno primero.",
        bad_length="Puedo poner temporizadores de un segundo a 30 días.",
        bad_time="Esa hora ya ha pasado o queda demasiado lejos.",
        unnamed="Temporizador",
        colon="{label}: {text}",
        today="hoy a las {time}",
        tomorrow="mañana a las {time}",
        on_weekday="el {weekday} a las {time}",
        on_date="el {date} a las {time}",
        at_one="a las 1:|a la 1:",
        daily="todos los días",
        weekdays="de lunes a viernes",
        weekends="los fines de semana",
        weekly="cada {list}",
        repeating="repetida",
    ),
    "fr": Words(
        for_how_long="Pour combien de temps ?",
        for_what_time="Pour quelle heure ?",
        timer_set="Minuteur lancé : {length}.",
        timer_set_label="{label} : {length}, c'est parti.",
        no_timer="Aucun minuteur n'est en cours.",
        no_such_timer="Je n'ai pas trouvé ce minuteur.",
        left="Temps restant : {length}.",
        left_label="{label} : encore {length}.",
        about="environ {length}",
        several_timers="Tu as {count} minuteurs.",
        ended="terminé il y a {length}",
        ringing="sonne en ce moment",
        which_timer="Lequel ? {list}.",
        timer_cancelled="Minuteur annulé.",
        timers_cancelled="{count} minuteurs annulés.",
        alarm_set="Réveil mis : {when}.",
        alarm_repeats="Réveil mis : {days}, d'abord {when}.",
        universal=" C'est l'heure universelle : je ne sais pas où tu es.",
        no_alarm="Aucun réveil n'est mis.",
        no_such_alarm="Je n'ai pas trouvé ce réveil.",
        alarm_at="Ton réveil est mis : {when}.",
        several_alarms="Tu as {count} réveils.",
        missed="devait sonner {when}",
        which_alarm="Lequel ? {list}.",
        alarm_cancelled="Réveil annulé.",
        alarms_cancelled="{count} réveils annulés.",
        stopped="D'accord.",
        nothing_rings="Rien ne sonne.",
        snoozed="D'accord, encore {length}.",
        too_many="Tu en as déjà {count} ; je ne peux pas en garder plus. Annules-en un d'abord.",
        bad_length="Je peux mettre des minuteurs d'une seconde à 30 jours.",
        bad_time="Cette heure est passée ou trop lointaine.",
        unnamed="Minuteur",
        colon="{label} : {text}",
        today="aujourd'hui à {time}",
        tomorrow="demain à {time}",
        on_weekday="{weekday} à {time}",
        on_date="le {date} à {time}",
        at_one="",
        daily="tous les jours",
        weekdays="du lundi au vendredi",
        weekends="le week-end",
        weekly="chaque {list}",
        repeating="répété",
    ),
    "it": Words(
        for_how_long="Per quanto tempo?",
        for_what_time="Per che ora?",
        timer_set="Timer impostato: {length} da adesso.",
        timer_set_label="{label}: {length} da adesso.",
        no_timer="Nessun timer è attivo.",
        no_such_timer="Non ho trovato quel timer.",
        left="Tempo rimanente: {length}.",
        left_label="{label}: tempo rimanente, {length}.",
        about="circa {length}",
        several_timers="Hai {count} timer.",
        ended="finito {length} fa",
        ringing="sta suonando",
        which_timer="Quale? {list}.",
        timer_cancelled="Timer annullato.",
        timers_cancelled="{count} timer annullati.",
        alarm_set="Sveglia impostata: {when}.",
        alarm_repeats="Sveglia impostata: {days}, la prima {when}.",
        universal=" È l'ora universale: non so dove sei.",
        no_alarm="Nessuna sveglia è impostata.",
        no_such_alarm="Non ho trovato quella sveglia.",
        alarm_at="La tua sveglia è impostata: {when}.",
        several_alarms="Hai {count} sveglie.",
        missed="doveva suonare {when}",
        which_alarm="Quale? {list}.",
        alarm_cancelled="Sveglia annullata.",
        alarms_cancelled="{count} sveglie annullate.",
        stopped="Va bene.",
        nothing_rings="Non sta suonando niente.",
        snoozed="Va bene, tra {length}.",
        too_many="Ne hai già {count}; non posso tenerne di più. Prima annullane una.",
        bad_length="Posso impostare timer da un secondo a 30 giorni.",
        bad_time="Quell'ora è passata o è troppo lontana.",
        unnamed="Timer",
        colon="{label}: {text}",
        today="oggi alle {time}",
        tomorrow="domani alle {time}",
        on_weekday="{weekday} alle {time}",
        on_date="il {date} alle {time}",
        at_one="alle 01:|all'1:",
        daily="ogni giorno",
        weekdays="dal lunedì al venerdì",
        weekends="nel fine settimana",
        weekly="ogni {list}",
        repeating="ripetuta",
    ),
}


def words(language: str) -> Words:
    """The sentences of a language; English for one the manifest does not list."""
    return WORDS.get(language, WORDS[FALLBACK])


def spoken_left(length: timedelta, tag: str, said: Words) -> str:
    """As one says what is left: `about 4 minutes`, `1 minute and 20 seconds`."""
    seconds = max(0, round(length.total_seconds()))
    step = 60 if seconds >= 120 else 5 if seconds > 20 else 1
    if seconds >= 3 * 86_400:
        step = 3_600
    rounded = round(seconds / step) * step
    spoken = spoken_length(timedelta(seconds=rounded), tag)
    return said.about.format(length=spoken) if abs(rounded - seconds) > 2 else spoken


def spoken_when(moment: datetime, now: datetime, tag: str, said: Words) -> str:
    """`tomorrow at 7:00 AM`; `now` in the same zone."""
    ahead = (moment.date() - now.date()).days
    template = said.today if ahead == 0 else said.tomorrow if ahead == 1 else said.on_weekday
    if not 0 <= ahead < 7:
        template = said.on_date
    text = template.format(
        time=spoken_time(moment, tag),
        weekday=spoken_date(moment, tag, "EEEE"),
        date=spoken_date(moment, tag, "MMMM d" if locale_of(tag).language == "en" else "d MMMM"),
    )
    wrong, _, right = said.at_one.partition("|")
    return text.replace(wrong, right) if wrong else text


def spoken_days(rule: str, tag: str, said: Words) -> str:
    """A rule in words: `every Monday and Friday`."""
    days = list(days_of(next((part[6:] for part in rule.split(";") if part.startswith("BYDAY=")), "")))
    if "INTERVAL=" in rule or "FREQ=MONTHLY" in rule or "FREQ=YEARLY" in rule:
        return said.repeating
    if len(days) == len(WEEKDAYS) or (not days and "FREQ=DAILY" in rule):
        return said.daily
    if days == list(WEEKDAYS[:5]):
        return said.weekdays
    if days == list(WEEKDAYS[5:]):
        return said.weekends
    if not days:
        return said.repeating
    names = locale_of(tag).days["format"]["wide"]
    return said.weekly.format(list=spoken_list([names[WEEKDAYS.index(day)] for day in days], tag))
