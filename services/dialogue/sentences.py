"""What the assistant says for itself, in five languages. `manager.py` chooses a sentence and fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sentences:
    """One language. `{…}` are filled in; lists hold ways to say the same.

    Attributes:
        morning, day, evening: greetings by time of day; `day` also when it is not known.
        try_saying: with `{examples}`; `or_word` joins the last two.
        confirm: with `{text}`; `yes` and `no` are the answers offered.
        choose: with `{choices}`.
        nothing_said: when there is nothing to repeat.
        unknown_effect: something may have been done.
    """

    morning: str
    day: str
    evening: str
    help: str
    help_without: str
    try_saying: str
    or_word: str
    thanks: tuple[str, ...]
    goodbye: tuple[str, ...]
    stop: str
    nothing_said: str
    confirm: str
    yes: str
    no: str
    choose: str
    choose_open: str
    ask_open: str
    cannot: str
    not_understood: tuple[str, ...]
    declined: str
    progress: tuple[str, ...]
    too_slow: str
    unknown_effect: str
    failed: str


SENTENCES: Final[Mapping[str, Sentences]] = {
    "en": Sentences(
        morning="Good morning.",
        day="Hello.",
        evening="Good evening.",
        help="You can say, for example: {examples}.",
        help_without="I can listen and answer, but no skill is switched on for you yet.",
        try_saying="You can say, for example: {examples}.",
        or_word="or",
        thanks=("You are welcome.", "My pleasure."),
        goodbye=("Goodbye.", "See you soon."),
        stop="All right.",
        nothing_said="I have not said anything yet.",
        confirm="I heard: {text}. Shall I do that?",
        yes="yes",
        no="no",
        choose="Do you mean {choices}?",
        choose_open="I am not sure what you mean. Could you say it in other words?",
        ask_open="I need to know a little more. What exactly?",
        cannot="I cannot help with that.",
        not_understood=("I did not understand that. Please say it again.", "Sorry, could you say that again?"),
        declined="All right, I will leave it.",
        progress=("One moment.", "Just a moment."),
        too_slow="That takes too long at the moment. Please try again later.",
        unknown_effect="I am not sure whether that was done. Please check before you ask again.",
        failed="Sorry, that did not work.",
    ),
    "de": Sentences(
        morning="Guten Morgen.",
        day="Hallo.",
        evening="Guten Abend.",
        help="Du kannst zum Beispiel sagen: {examples}.",
        help_without="Ich kann zuhören und antworten, aber für dich ist noch keine Fähigkeit eingeschaltet.",
        try_saying="Du kannst zum Beispiel sagen: {examples}.",
        or_word="oder",
        thanks=("Gern geschehen.", "Sehr gern."),
        goodbye=("Auf Wiedersehen.", "Bis bald."),
        stop="In Ordnung.",
        nothing_said="Ich habe noch nichts gesagt.",
        confirm="Ich habe verstanden: {text}. Soll ich das tun?",
        yes="ja",
        no="nein",
        choose="Meinst du {choices}?",
        choose_open="Ich bin nicht sicher, was du meinst. Kannst du es anders sagen?",
        ask_open="Ich muss noch etwas wissen. Was genau?",
        cannot="Dabei kann ich nicht helfen.",
        not_understood=("Das habe ich nicht verstanden. Sag es bitte noch einmal.", "Wie bitte?"),
        declined="In Ordnung, ich lasse es.",
        progress=("Einen Moment.", "Einen Augenblick."),
        too_slow="Das dauert gerade zu lange. Versuch es bitte später noch einmal.",
        unknown_effect="Ich bin nicht sicher, ob das geschehen ist. Sieh bitte nach, bevor du es wiederholst.",
        failed="Das hat leider nicht geklappt.",
    ),
    "es": Sentences(
        morning="Buenos días.",
        day="Hola.",
        evening="Buenas noches.",
        help="Puedes decir, por ejemplo: {examples}.",
        help_without="Puedo escuchar y responder, pero todavía no tienes ninguna habilidad activada.",
        try_saying="Puedes decir, por ejemplo: {examples}.",
        or_word="o",
        thanks=("De nada.", "Con mucho gusto."),
        goodbye=("Adiós.", "Hasta pronto."),
        stop="De acuerdo.",
        nothing_said="Todavía no he dicho nada.",
        confirm="He oído: {text}. ¿Lo hago?",
        yes="sí",
        no="no",
        choose="¿Te refieres a {choices}?",
        choose_open="No estoy seguro de lo que quieres decir. ¿Puedes decirlo de otra forma?",
        ask_open="Necesito saber algo más. ¿Qué exactamente?",
        cannot="No puedo ayudarte con eso.",
        not_understood=("No te he entendido. Repítelo, por favor.", "Perdona, ¿puedes repetirlo?"),
        declined="De acuerdo, lo dejo.",
        progress=("Un momento.", "Un segundo."),
        too_slow="Ahora mismo tarda demasiado. Inténtalo más tarde, por favor.",
        unknown_effect="No estoy seguro de si se ha hecho. Compruébalo antes de repetirlo, por favor.",
        failed="Lo siento, no ha funcionado.",
    ),
    "fr": Sentences(
        morning="Bonjour.",
        day="Bonjour.",
        evening="Bonsoir.",
        help="Tu peux dire, par exemple : {examples}.",
        help_without="Je peux écouter et répondre, mais aucune compétence n'est encore activée pour toi.",
        try_saying="Tu peux dire, par exemple : {examples}.",
        or_word="ou",
        thanks=("De rien.", "Avec plaisir."),
        goodbye=("Au revoir.", "À bientôt."),
        stop="D'accord.",
        nothing_said="Je n'ai encore rien dit.",
        confirm="J'ai entendu : {text}. Je le fais ?",
        yes="oui",
        no="non",
        choose="Veux-tu dire {choices} ?",
        choose_open="Je ne suis pas sûr de comprendre. Peux-tu le dire autrement ?",
        ask_open="J'ai besoin d'en savoir un peu plus. Quoi exactement ?",
        cannot="Je ne peux pas t'aider pour cela.",
        not_understood=("Je n'ai pas compris. Répète, s'il te plaît.", "Pardon, peux-tu répéter ?"),
        declined="D'accord, je laisse.",
        progress=("Un instant.", "Un moment."),
        too_slow="Cela prend trop de temps en ce moment. Réessaie plus tard, s'il te plaît.",
        unknown_effect="Je ne sais pas si cela a été fait. Vérifie avant de recommencer, s'il te plaît.",
        failed="Désolé, cela n'a pas marché.",
    ),
    "it": Sentences(
        morning="Buongiorno.",
        day="Ciao.",
        evening="Buonasera.",
        help="Puoi dire, per esempio: {examples}.",
        help_without="Posso ascoltare e rispondere, ma per te non è ancora attiva nessuna abilità.",
        try_saying="Puoi dire, per esempio: {examples}.",
        or_word="o",
        thanks=("Prego.", "Con piacere."),
        goodbye=("Arrivederci.", "A presto."),
        stop="Va bene.",
        nothing_said="Non ho ancora detto niente.",
        confirm="Ho sentito: {text}. Lo faccio?",
        yes="sì",
        no="no",
        choose="Vuoi dire {choices}?",
        choose_open="Non sono sicuro di aver capito. Puoi dirlo in un altro modo?",
        ask_open="Ho bisogno di sapere qualcosa in più. Che cosa esattamente?",
        cannot="Con questo non posso aiutarti.",
        not_understood=("Non ho capito. Ripeti, per favore.", "Scusa, puoi ripetere?"),
        declined="Va bene, lascio stare.",
        progress=("Un momento.", "Un attimo."),
        too_slow="In questo momento ci vuole troppo tempo. Riprova più tardi, per favore.",
        unknown_effect="Non sono sicuro che sia stato fatto. Controlla prima di ripetere, per favore.",
        failed="Mi dispiace, non ha funzionato.",
    ),
}
