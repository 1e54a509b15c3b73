"""What lists and notes say, in five languages. `handler.py` fills the templates.

Names of lists stand before a colon, so that whatever a user called one fits the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from antiphon.skills.spoken import FALLBACK


@dataclass(frozen=True)
class Words:
    """Sentences of one language, with `{list}`, `{items}`, `{item}`, `{count}`, `{text}`.

    Attributes:
        generic: words that mean "list" and are no part of its name.
        names: of the lists that everybody has.
        one, many: how many things there are, by grammatical number.
    """

    generic: tuple[str, ...]
    names: Mapping[str, str]
    named: str
    what_to_add: str
    what_to_remove: str
    what_to_note: str
    what_to_find: str
    which_list: str
    added: str
    known: str
    removed: str
    not_there: str
    nowhere: str
    empty: str
    one: str
    many: str
    more: str
    is_there: str
    cleared: str
    all_cleared: str
    no_lists: str
    lists: str
    full: str
    noted: str
    no_notes: str
    no_such_note: str
    one_note: str
    many_notes: str
    notes_deleted: str
    note_deleted: str
    too_many_notes: str
    storage_full: str
    storage_busy: str
    storage_failed: str
    unreadable: str


WORDS: Final[Mapping[str, Words]] = {
    "en": Words(
        generic=("list", "lists", "my", "the", "our", "a"),
        names={
            "shopping": "Shopping list",
            "todo": "To-do list",
            "packing": "Packing list",
            "wish": "Wish list",
            "work": "Work list",
            "party": "Party list",
        },
        named="List {list}",
        what_to_add="What should I add?",
        what_to_remove="What should I take off?",
        what_to_note="What should I write down?",
        what_to_find="What should I look for?",
        which_list="Which list? {items}.",
        added="{list}: added {items}.",
        known="{items}: already there.",
        removed="{list}: took off {items}.",
        not_there="{list}: I cannot find {item} there.",
        nowhere="I cannot find {item} on any of your lists.",
        empty="{list}: nothing on it.",
        one="{list}: {items}.",
        many="{list}, {count} things: {items}.",
        more="And {count} more.",
        is_there="{list}: yes, {items}.",
        cleared="{list}: empty now.",
        all_cleared="All your lists are empty now.",
        no_lists="You have no lists yet.",
        lists="Your lists: {items}.",
        full="{list}: full. I could not add everything.",
        noted="Noted: {text}.",
        no_notes="You have no notes.",
        no_such_note="I found no such note.",
        one_note="Your note: {text}.",
        many_notes="{count} notes, the newest first: {text}.",
        notes_deleted="{count} notes deleted.",
        note_deleted="Note deleted.",
        too_many_notes="You have {count} notes; I cannot keep more. Delete some first.",
        storage_full="I could not keep that: my storage is full. Nothing was changed.",
        storage_busy="I could not keep that just now. Nothing was changed; please try again.",
        storage_failed="I cannot keep anything at the moment. Nothing was changed.",
        unreadable="I cannot get at your lists and notes at the moment.",
    ),
    "de": Words(
        generic=("liste", "listen", "meine", "meiner", "die", "der", "unsere", "eine"),
        names={
            "shopping": "Einkaufsliste",
            "todo": "Aufgabenliste",
            "packing": "Packliste",
            "wish": "Wunschliste",
            "work": "Arbeitsliste",
            "party": "Partyliste",
        },
        named="Liste {list}",
        what_to_add="Was soll ich eintragen?",
        what_to_remove="Was soll ich streichen?",
        what_to_note="Was soll ich notieren?",
        what_to_find="Wonach soll ich schauen?",
        which_list="Welche Liste? {items}.",
        added="{list}: {items} eingetragen.",
        known="{items}: steht schon drauf.",
        removed="{list}: {items} gestrichen.",
        not_there="{list}: {item} finde ich dort nicht.",
        nowhere="{item} finde ich auf keiner deiner Listen.",
        empty="{list}: nichts drauf.",
        one="{list}: {items}.",
        many="{list}, {count} Einträge: {items}.",
        more="Und {count} weitere.",
        is_there="{list}: ja, {items}.",
        cleared="{list}: jetzt leer.",
        all_cleared="Alle deine Listen sind jetzt leer.",
        no_lists="Du hast noch keine Listen.",
        lists="Deine Listen: {items}.",
        full="{list}: voll. Ich konnte nicht alles eintragen.",
        noted="Notiert: {text}.",
        no_notes="Du hast keine Notizen.",
        no_such_note="So eine Notiz habe ich nicht gefunden.",
        one_note="Deine Notiz: {text}.",
        many_notes="{count} Notizen, die neueste zuerst: {text}.",
        notes_deleted="{count} Notizen gelöscht.",
        note_deleted="Notiz gelöscht.",
        too_many_notes="Du hast schon {count} Notizen; mehr kann ich mir nicht merken. Lösche zuerst welche.",
        storage_full="Das konnte ich mir nicht merken: Mein Speicher ist voll. Es wurde nichts geändert.",
        storage_busy="Das konnte ich mir gerade nicht merken. Es wurde nichts geändert; versuch es bitte noch mal.",
        storage_failed="Ich kann mir im Moment nichts merken. Es wurde nichts geändert.",
        unreadable="Ich komme im Moment nicht an deine Listen und Notizen.",
    ),
    "es": Words(
        generic=("lista", "listas", "mi", "la", "de", "nuestra", "una"),
        names={
            "shopping": "Lista de la compra",
            "todo": "Lista de tareas",
            "packing": "Lista de equipaje",
            "wish": "Lista de deseos",
            "work": "Lista del trabajo",
            "party": "Lista de la fiesta",
        },
        named="Lista {list}",
        what_to_add="¿Qué añado?",
        what_to_remove="¿Qué quito?",
        what_to_note="¿Qué apunto?",
        what_to_find="¿Qué busco?",
        which_list="¿Qué lista? {items}.",
        added="{list}: he añadido {items}.",
        known="{items}: ya estaba.",
        removed="{list}: he quitado {items}.",
        not_there="{list}: ahí no encuentro {item}.",
        nowhere="No encuentro {item} en ninguna de tus listas.",
        empty="{list}: no hay nada.",
        one="{list}: {items}.",
        many="{list}, {count} cosas: {items}.",
        more="Y {count} más.",
        is_there="{list}: sí, {items}.",
        cleared="{list}: ya está vacía.",
        all_cleared="Todas tus listas están vacías.",
        no_lists="Todavía no tienes listas.",
        lists="Tus listas: {items}.",
        full="{list}: está llena. No he podido añadirlo todo.",
        noted="Apuntado: {text}.",
        no_notes="No tienes notas.",
        no_such_note="No he encontrado esa nota.",
        one_note="Tu nota: {text}.",
        many_notes="{count} notas, primero la más reciente: {text}.",
        notes_deleted="{count} notas borradas.",
        note_deleted="Nota borrada.",
        too_many_notes="Ya tienes {count} notas; no puedo guardar más. Borra alguna primero.",
        storage_full="No he podido guardarlo: no me queda espacio. No ha cambiado nada.",
        storage_busy="Ahora mismo no he podido guardarlo. No ha cambiado nada; inténtalo otra vez.",
        storage_failed="En este momento no puedo guardar nada. No ha cambiado nada.",
        unreadable="En este momento no puedo consultar tus listas y notas.",
    ),
    "fr": Words(
        generic=("liste", "listes", "ma", "la", "de", "notre", "une"),
        names={
            "shopping": "Liste de courses",
            "todo": "Liste de tâches",
            "packing": "Liste de voyage",
            "wish": "Liste de souhaits",
            "work": "Liste de travail",
            "party": "Liste de la fête",
        },
        named="Liste {list}",
        what_to_add="Qu'est-ce que j'ajoute ?",
        what_to_remove="Qu'est-ce que j'enlève ?",
        what_to_note="Que dois-je noter ?",
        what_to_find="Qu'est-ce que je cherche ?",
        which_list="Quelle liste ? {items}.",
        added="{list} : j'ai ajouté {items}.",
        known="{items} : déjà dessus.",
        removed="{list} : j'ai enlevé {items}.",
        not_there="{list} : je n'y trouve pas {item}.",
        nowhere="Je ne trouve {item} sur aucune de tes listes.",
        empty="{list} : il n'y a rien.",
        one="{list} : {items}.",
        many="{list}, {count} choses : {items}.",
        more="Et {count} de plus.",
        is_there="{list} : oui, {items}.",
        cleared="{list} : vide maintenant.",
        all_cleared="Toutes tes listes sont vides maintenant.",
        no_lists="Tu n'as pas encore de liste.",
        lists="Tes listes : {items}.",
        full="{list} : pleine. Je n'ai pas pu tout ajouter.",
        noted="C'est noté : {text}.",
        no_notes="Tu n'as pas de notes.",
        no_such_note="Je n'ai pas trouvé cette note.",
        one_note="Ta note : {text}.",
        many_notes="{count} notes, la plus récente d'abord : {text}.",
        notes_deleted="{count} notes supprimées.",
        note_deleted="Note supprimée.",
        too_many_notes="Tu as déjà {count} notes ; je ne peux pas en garder plus. Supprimes-en d'abord.",
        storage_full="Je n'ai pas pu le garder : ma mémoire est pleine. Rien n'a changé.",
        storage_busy="Je n'ai pas pu le garder à l'instant. Rien n'a changé ; réessaie, s'il te plaît.",
        storage_failed="Je ne peux rien garder pour le moment. Rien n'a changé.",
        unreadable="Je n'ai pas accès à tes listes et à tes notes pour le moment.",
    ),
    "it": Words(
        generic=("lista", "liste", "la", "mia", "di", "nostra", "una"),
        names={
            "shopping": "Lista della spesa",
            "todo": "Lista delle cose da fare",
            "packing": "Lista dei bagagli",
            "wish": "Lista dei desideri",
            "work": "Lista di lavoro",
            "party": "Lista della festa",
        },
        named="Lista {list}",
        what_to_add="Cosa devo aggiungere?",
        what_to_remove="Cosa devo togliere?",
        what_to_note="Cosa devo annotare?",
        what_to_find="Cosa devo cercare?",
        which_list="Quale lista? {items}.",
        added="{list}: ho aggiunto {items}.",
        known="{items}: c'era già.",
        removed="{list}: ho tolto {items}.",
        not_there="{list}: lì non trovo {item}.",
        nowhere="Non trovo {item} in nessuna delle tue liste.",
        empty="{list}: non c'è niente.",
        one="{list}: {items}.",
        many="{list}, {count} cose: {items}.",
        more="E altre {count}.",
        is_there="{list}: sì, {items}.",
        cleared="{list}: adesso è vuota.",
        all_cleared="Tutte le tue liste adesso sono vuote.",
        no_lists="Non hai ancora liste.",
        lists="Le tue liste: {items}.",
        full="{list}: è piena. Non ho potuto aggiungere tutto.",
        noted="Annotato: {text}.",
        no_notes="Non hai note.",
        no_such_note="Non ho trovato quella nota.",
        one_note="La tua nota: {text}.",
        many_notes="{count} note, prima la più recente: {text}.",
        notes_deleted="{count} note cancellate.",
        note_deleted="Nota cancellata.",
        too_many_notes="Hai già {count} note; non posso tenerne di più. Prima cancellane qualcuna.",
        storage_full="Non ho potuto salvarlo: la mia memoria è piena. Non è cambiato niente.",
        storage_busy="Adesso non ho potuto salvarlo. Non è cambiato niente; riprova, per favore.",
        storage_failed="Al momento non posso salvare niente. Non è cambiato niente.",
        unreadable="Al momento non riesco a leggere le tue liste e le tue note.",
    ),
}


def words(language: str) -> Words:
    """The sentences of a language; English for one the manifest does not list."""
    return WORDS.get(language, WORDS[FALLBACK])
