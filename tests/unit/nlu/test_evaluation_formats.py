"""Labelled sets as they come from anywhere: their rows are read, and what is wrong is told with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.nlu.evaluation.formats import FORMATS
from services.nlu.evaluation.samples import MAX_LINE_BYTES, Sample, Span
from services.runtime.errors import InvalidInput
from tests.fixtures.massive_rows import ROWS, row, write_rows

pytestmark = pytest.mark.unit

SLURP = {
    "sentence": "what's on friday in hollywood",
    "scenario": "calendar",
    "action": "query",
    "intent": "query",
    "tokens": [{"surface": one} for one in ("what", "'s", "on", "Friday", "in", "hwood")],
    "entities": [{"span": [3], "type": "date"}, {"span": [5], "type": "place_name"}],
}
XSID = """# id = 1
# text = laat alle herinneringen zien
# intent = reminder/show_reminders
1\tlaat\treminder/show_reminders\tO
2\talle\treminder/show_reminders\tB-reference
3\therinneringen\treminder/show_reminders\tI-reference
4\tzien\treminder/show_reminders\tO
"""


def massive(path: Path, partition: str = "test") -> list[Sample]:
    return FORMATS["massive"].samples(path, partition)


def refused(path: Path, form: str = "massive") -> str:
    with pytest.raises(InvalidInput) as caught:
        FORMATS[form].samples(path, "test")
    return caught.value.message


def test_spans_of_annotated_text_are_those_of_its_words(tmp_path: Path) -> None:
    found = massive(write_rows(tmp_path / "a.jsonl", [row(*one) for one in ROWS]))
    assert [one.text for one in found][:2] == ["wake me up at nine am on friday", "play bach"]
    for one in found:
        assert all(one.text[slot.start : slot.end].strip() == one.text[slot.start : slot.end] for slot in one.slots)
    said = [(slot.name, found[0].text[slot.start : slot.end]) for slot in found[0].slots]
    assert said == [("time", "nine am"), ("date", "friday")]


def test_spans_stay_right_when_the_text_is_composed(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.jsonl", [row("play_music", "joue du cafe\u0301 de [artist_name : Beyonce\u0301]", "fr-FR")]
    )
    (one,) = massive(path)
    assert (one.locale, one.text[one.slots[0].start : one.slots[0].end]) == ("fr-FR", "Beyoncé")


def test_a_folder_may_mix_locales_and_parts(tmp_path: Path) -> None:
    write_rows(tmp_path / "b.jsonl", [row(*ROWS[0], locale="de-DE"), row(*ROWS[1], partition="train")])
    write_rows(tmp_path / "a.jsonl", [row(*ROWS[0]), "", row(*ROWS[1], locale="zh_cn")])
    assert [one.locale for one in massive(tmp_path)] == ["en-US", "zh-CN", "de-DE"]
    assert len(massive(tmp_path, "train")) == 1


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + row(*ROWS[0]).encode() + b"\r\n")
    assert len(massive(path)) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "partition is no name"),
        (row("alarm_set", "wake me at [time : nine"), "brackets"),
        (row("alarm_set", "wake me at time : nine]"), "brackets"),
        (row("alarm_set", "wake me [time : at [time : nine]]"), "brackets"),
        (row("alarm_set", "wake me at [nine]"), "brackets"),
        (row("", "wake me"), "intent is no name"),
        (row("alarm\x1b[31m", "wake me"), "intent is no name"),
        (row("alarm_set", ""), "empty"),
        (row("alarm_set", "[time : ]"), "empty"),
        (row("alarm_set", "wake me", locale="not a locale"), "BCP-47"),
        (row("alarm_set", "a" * 5_000), "4000 code points"),
        (json.dumps({**json.loads(row(*ROWS[0])), "annot_utt": ["x"]}), "annot_utt is no text"),
        (json.dumps({**json.loads(row(*ROWS[0])), "utt": "\ud800"}), "surrogates"),
        ("x" * (MAX_LINE_BYTES + 1), "more than 262144 bytes"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_by_file_and_line(tmp_path: Path, line: str, told: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [row(*ROWS[0]), line, row(*ROWS[1])])
    message = refused(path)
    assert f"{path}:2: " in message
    assert told in message
    assert len(message) < 300 + len(str(path))


def test_what_is_no_text_and_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(row(*ROWS[0]).encode() + b"\n\xff\xfe\n")
    assert f"{path}:2: the line is not UTF-8" in refused(path)
    assert "No such file" in refused(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").touch()
    assert "no sentence of the part 'test'" in refused(tmp_path / "empty.jsonl")
    assert "no file *.test.conll" in refused(tmp_path, "xsid")


def test_slurp_corrects_its_words_and_not_its_tokens(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "test.jsonl", [json.dumps(SLURP)])
    (one,) = FORMATS["slurp"].samples(tmp_path, "test")
    assert one.intents == ("calendar_query", "query")
    assert one.slots == (Span("date", 10, 16),)  # the place was spelled otherwise: it stands nowhere
    for broken in ({**SLURP, "tokens": 3}, {**SLURP, "entities": [{"span": [9], "type": "date"}]}):
        write_rows(path, [json.dumps(broken)])
        assert f"{path}:1: " in refused(path, "slurp")


def test_xsid_is_read_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "nl.test.conll"
    path.write_text(XSID + "\n\n" + XSID, encoding="utf-8")
    found = FORMATS["xsid"].samples(tmp_path, "test")
    assert [one.locale for one in found] == ["nl", "nl"]
    (slot,) = found[1].slots
    assert (slot.name, found[1].text[slot.start : slot.end]) == ("reference", "alle herinneringen")
    path.write_text(XSID.replace("\tB-reference", "\tB"), encoding="utf-8")
    assert "neither O nor B-name nor I-name" in refused(path, "xsid")
    path.write_text(XSID.replace("\tB-reference", ""), encoding="utf-8")
    assert f"{path}:5: a word has 4 columns, not 3" in refused(path, "xsid")
    path.write_text(XSID.replace("# intent = reminder/show_reminders\n", ""), encoding="utf-8")
    assert "intent is no name" in refused(path, "xsid")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("alarm/set_alarm", "alarm_set_alarm"),
        ("AddToPlaylist", "add_to_playlist"),
        ("SearchScreeningEvent", "search_screening_event"),
    ],
)
def test_labels_of_xsid_are_named_as_manifests_may_claim_them(tmp_path: Path, label: str, name: str) -> None:
    path = tmp_path / "nl.test.conll"
    path.write_text(XSID.replace("reminder/show_reminders", label), encoding="utf-8")
    (one,) = FORMATS["xsid"].samples(path, "test")
    assert one.intents == (name,)
