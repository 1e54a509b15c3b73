"""Labelled English from HWU64, SLURP devel and CLINC150 train; reads `$ANTIPHON_DATA`, as `unlabelled.py` does.

Trained on: HWU64 (CC BY 4.0), SLURP devel (CC BY 4.0), CLINC150 `train` and `oos_train` (CC BY 3.0). Measured on: SLURP
test and the second half of CLINC150 `val` with `oos_val`. Settings are chosen without devel and with the first half;
sentences that are measured on are taken out of what is trained on, also of what numbers in words and exchanged values
make.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from services.nlu.text import normalise, tokenise
from services.nlu.values.number_words import WORDS

MASSIVE = tuple(
    (
        "alarm_query alarm_remove alarm_set audio_volume_down audio_volume_mute audio_volume_other audio_volume_up "
        "calendar_query calendar_remove calendar_set cooking_query cooking_recipe datetime_convert datetime_query "
        "email_addcontact email_query email_querycontact email_sendemail general_greet general_joke general_quirky "
        "iot_cleaning iot_coffee iot_hue_lightchange iot_hue_lightdim iot_hue_lightoff iot_hue_lighton iot_hue_lightup "
        "iot_wemo_off iot_wemo_on lists_createoradd lists_query lists_remove music_dislikeness music_likeness "
        "music_query music_settings news_query play_audiobook play_game play_music play_podcasts play_radio "
        "qa_currency qa_definition qa_factoid qa_maths qa_stock recommendation_events recommendation_locations "
        "recommendation_movies social_post social_query takeaway_order takeaway_query transport_query transport_taxi "
        "transport_ticket transport_traffic weather_query"
    ).split()
)
"""The 60 intents."""

SLOTS = tuple(
    (
        "alarm_type app_name artist_name audiobook_author audiobook_name business_name business_type change_amount "
        "coffee_type color_type cooking_type currency_name date definition_word device_type drink_type email_address "
        "email_folder event_name food_type game_name game_type general_frequency house_place ingredient joke_type "
        "list_name meal_type media_type movie_name movie_type music_album music_descriptor music_genre news_topic "
        "order_type person personal_info place_name player_setting playlist_name podcast_descriptor podcast_name "
        "radio_name relation song_name sport_type time time_zone timeofday transport_agency transport_descriptor "
        "transport_name transport_type weather_descriptor"
    ).split()
)
"""The 55 slots."""

OUT_OF_SCOPE = "out_of_scope"

# CLINC150's intents that are one of the 60, or nearly: their sentences say nothing to the head of MASSIVE. Sentences of
# all others (banks, cars, travel documents) are out of its scope.
_AKIN = frozenset(
    (
        "alarm accept_reservations are_you_a_bot calculator calendar calendar_update cancel cancel_reservation "
        "calories change_volume confirm_reservation cook_time date definition directions distance do_you_have_pets "
        "exchange_rate flip_coin food_last fun_fact goodbye greeting how_busy how_old_are_you "
        "ingredient_substitution ingredients_list make_call maybe meal_suggestion meaning_of_life "
        "measurement_conversion meeting_schedule next_holiday next_song no nutrition_info play_music recipe "
        "reminder reminder_update repeat restaurant_reservation restaurant_reviews restaurant_suggestion roll_dice "
        "schedule_meeting shopping_list shopping_list_update smart_home spelling tell_joke text thank_you time "
        "timer timezone todo_list todo_list_update traffic translate travel_suggestion uber update_playlist "
        "weather what_are_your_hobbies what_can_i_ask_you what_is_your_name what_song where_are_you_from "
        "who_do_you_work_for who_made_you yes book_flight book_hotel current_location order order_status user_name "
        "change_user_name change_ai_name"
    ).split()
)


@dataclass(frozen=True)
class Sentence:
    """Words with their labels. None where a set says nothing: of `massive`, of `clinc`, of slots.

    Attributes:
        slots: (name, first word, word after the last).
        text: as it stands in the set, if the words are still those.
    """

    words: tuple[str, ...]
    massive: str | None
    clinc: str | None
    slots: tuple[tuple[str, int, int], ...] | None

    @property
    def key(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Corpus:
    """The parts of the data.

    Attributes:
        calibration: to fit temperatures by.
        slurp, clinc: to measure on.
    """

    train: list[Sentence]
    calibration: list[Sentence]
    slurp: list[Sentence]
    clinc: list[Sentence]

    @property
    def clinc_labels(self) -> tuple[str, ...]:
        return tuple(sorted({one.clinc for one in self.clinc if one.clinc}))


def root() -> Path:
    """Of the texts."""
    return Path(os.environ.get("ANTIPHON_DATA", "../shared/data")) / "text"


def load(seed: int, *, with_devel: bool = True, data: Path | None = None) -> Corpus:
    """Everything, the same for the same seed.

    Args:
        with_devel: False keeps the whole of SLURP devel out of training, to measure on it beside the first half of
            CLINC150 `val`; else a seventh is kept out, to calibrate by. A tenth of CLINC150 `train` always is.
    """
    rng = random.Random(seed)
    texts = data / "text" if data else root()
    devel, test = list(_slurp(texts / "slurp/devel.jsonl")), list(_slurp(texts / "slurp/test.jsonl"))
    hwu = list(hwu64(texts))
    raw = json.loads((texts / "clinc150/data_full.json").read_text(encoding="utf-8"))
    clinc = list(_clinc((*raw["train"], *raw["oos_train"])))
    measured = list(_clinc((*raw["val"], *raw["oos_val"])))
    rng.shuffle(clinc)
    kept_out = [*(devel[::7] if with_devel else devel), *clinc[: len(clinc) // 10]]
    held = {one.key for one in (*test, *measured, *kept_out)}
    known = [*hwu, *(devel if with_devel else ()), *clinc]
    train = [one for one in known if one.key not in held]
    made = [*_spoken(train), *_exchanged(rng, train)]
    train += [one for one in made if one.key not in held]
    calibration = [one for one in kept_out if one.key not in {one.key for one in (*test, *measured)}]
    return Corpus(train, calibration, test if with_devel else devel, measured[1::2] if with_devel else measured[::2])


def hwu64(texts: Path) -> Iterator[Sentence]:
    """Sentences of HWU64; those of two intents that MASSIVE lacks are left out."""
    path = texts / "hwu64/rasa_KFold_1_train.json"
    for row in json.loads(path.read_text(encoding="utf-8"))["rasa_nlu_data"]["common_examples"]:
        spans = [(entity["entity"], entity["start"], entity["end"]) for entity in row["entities"]]
        label = row["intent"] if row["intent"] in MASSIVE else None
        if label is None and row["intent"] in {"general_explain", "general_dontcare"}:
            continue
        yield _sentence(row["text"], label, None, spans if label else None)


def _slurp(path: Path) -> Iterator[Sentence]:
    """Some rows have a shortened label; scenario and action together are always the whole one."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        label = f"{row['scenario']}_{row['action']}"
        label = label if label in MASSIVE else row["intent"]
        yield _sentence(row["sentence"], label if label in MASSIVE else None, None, list(_entities(row)))


def _clinc(rows: Iterable[tuple[str, str]]) -> Iterator[Sentence]:
    for text, label in rows:
        outside = OUT_OF_SCOPE if label == "oos" or label not in _AKIN else None
        yield _sentence(text, outside, OUT_OF_SCOPE if label == "oos" else label, None)


def _entities(row: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Token spans to code points. The sentence joins its tokens with spaces, clitics ("what's") without."""
    places, at = [], 0
    for token in row["tokens"]:
        start = row["sentence"].find(token["surface"], at)
        at = start + len(token["surface"])
        places.append((start, at))
    for entity in row["entities"]:
        yield entity["type"], places[entity["span"][0]][0], places[entity["span"][-1]][1]


def _sentence(
    text: str, massive: str | None, clinc: str | None, spans: Sequence[tuple[str, int, int]] | None
) -> Sentence:
    text = normalise(re.sub(r"\s+", " ", text.lower()).strip(), field="text") if spans is None else text.lower()
    tokens = tokenise(text)
    slots = None
    if spans is not None:
        found = []
        for name, start, end in sorted(spans, key=lambda one: one[1]):
            inside = [at for at, token in enumerate(tokens) if token.start < end and start < token.end]
            if inside and name in SLOTS:
                found.append((name, inside[0], inside[-1] + 1))
        slots = tuple(found)
    return Sentence(tuple(token.norm for token in tokens), massive, clinc, slots)


def _spoken(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Numbers in words, as a recogniser writes them, beside those in digits, as a keyboard does."""
    for one in sentences:
        if any(word.isdecimal() and len(word) <= 3 for word in one.words):
            yield _with_words(one, [tuple(_said(word)) for word in one.words])


def _said(word: str) -> list[str]:
    if not (word.isdecimal() and len(word) <= 3):
        return [word]
    return [token.norm for token in tokenise(next(iter(WORDS["en"].spell(int(word)))))]


def _exchanged(rng: random.Random, sentences: Sequence[Sentence]) -> Iterator[Sentence]:
    """Each sentence with slots once more, its values exchanged for others of the same slot."""
    values: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for one in sentences:
        for name, start, end in one.slots or ():
            values[name].append(one.words[start:end])
    for one in sentences:
        if not one.slots:
            continue
        pieces: list[tuple[str, ...]] = [(word,) for word in one.words]
        for name, start, end in one.slots:
            pieces[start:end] = [rng.choice(values[name]), *[()] * (end - start - 1)]
        yield _with_words(one, pieces)


def _with_words(one: Sentence, pieces: Sequence[tuple[str, ...]]) -> Sentence:
    """The sentence with each word replaced by a piece; slots move along."""
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    slots = one.slots and tuple((name, starts[start], starts[end]) for name, start, end in one.slots)
    return replace(one, words=tuple(word for piece in pieces for word in piece), slots=slots)
