"""What WhatsApp exports, on Android and on iPhones."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_scripts._messages import Message
from data_scripts._whatsapp import read_whatsapp
from data_scripts._whatsapp_remarks import DELETED, names_in
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NEW_YEAR = datetime(2023, 12, 31, 21, 41)
NEXT = datetime(2024, 1, 1, 0, 5)

ANDROID = """\
31.12.23, 21:40 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
31.12.23, 21:41 - Ann Smith: Happy new year!
And a second line: with a colon

31.12.23, 21:41 - Bob: <Medien ausgeschlossen>
31.12.23, 21:41 - Bob: IMG-20231231.jpg (Datei angehängt)
31.12.23, 21:41 - Bob: Diese Nachricht wurde gelöscht.
1.1.24, 00:05 - Bob: You too <Diese Nachricht wurde bearbeitet.>
1.1.24, 00:05 - Ann Smith hat Cleo hinzugefügt.
""".replace("too <", "too \u200e<")
IPHONE = """\
[12/31/23, 9:40:59\u202fPM] The group: \u200eMessages and calls are end-to-end encrypted.
[12/31/23, 9:41:00\u202fPM] ~\u202fAnn Smith: Happy new year!
And a second line: with a colon
\u200e[12/31/23, 9:41:30\u202fPM] Bob: \u200eimage omitted
[1/1/24, 12:05:00\u202fAM] Bob: You too
"""
SAID = [
    Message(NEW_YEAR, "Ann Smith", "Happy new year!\nAnd a second line: with a colon"),
    Message(NEXT, "Bob", "You too"),
]


def stripped(messages: list[Message]) -> list[Message]:
    return [message._replace(text=message.text.strip()) for message in messages]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_whatsapp_on_android_and_on_an_iphone(ends: str) -> None:
    dropped: Counter[str] = Counter()
    assert stripped(read_whatsapp(ANDROID.replace("\n", ends), dropped).messages) == SAID
    assert list(dropped.values()) == [2, 3]  # of the system, files and deleted ones
    dropped.clear()
    assert stripped(read_whatsapp(IPHONE.replace("\n", ends), dropped).messages) == SAID
    assert list(dropped.values()) == [2]


@pytest.mark.parametrize(
    ("stamp", "when"),
    [
        ("31/12/2023, 21:41 - ", NEW_YEAR),
        ("12/31/23, 9:41 PM - ", NEW_YEAR),
        ("12/31/23, 9:41\u202fpm - ", NEW_YEAR),
        ("31/12/23, 9:41 p. m. - ", NEW_YEAR),
        ("31/12/23 21.41 - ", NEW_YEAR),
        ("31-12-2023 21:41 - ", NEW_YEAR),
        ("31. 12. 2023, 21:41 - ", NEW_YEAR),
        ("2023-12-31, 21:41 - ", NEW_YEAR),
        ("2023/12/31, 21:41 – ", NEW_YEAR),
        ("[31.12.23, 21:41:05] ", NEW_YEAR.replace(second=5)),
        ("[2023-12-31, 9:41:05 PM] ", NEW_YEAR.replace(second=5)),
        ("[31/12/2023, 12:00:00 AM] ", datetime(2023, 12, 31)),
        ("[31/12/2023, 12:00:00 PM] ", datetime(2023, 12, 31, 12)),
    ],
)
def test_styles_of_dates(stamp: str, when: datetime) -> None:
    assert read_whatsapp(f"{stamp}Ann: Hi", Counter()).messages == [Message(when, "Ann", "Hi")]


def test_days_below_13_are_told_from_months_by_the_order() -> None:
    def months(*stamps: str) -> list[int]:
        text = "\n".join(f"{stamp} - Ann: Hi" for stamp in stamps)
        return [message.time.month for message in read_whatsapp(text, Counter()).messages]

    assert months("1/2/24, 10:00", "2/2/24, 10:00", "1/3/24, 10:00") == [2, 2, 3]
    assert months("1/2/24, 10:00", "2/1/24, 10:00", "2/2/24, 10:00") == [1, 2, 2]
    assert months("1/2/24, 10:00", "3/4/24, 10:00") == [2, 4]  # nothing tells: the day first,
    assert months("1/2/24, 10:00 AM", "3/4/24, 10:00 AM") == [1, 3]  # but the month beside AM
    with pytest.raises(UserError, match="dates are of no order"):
        months("31/1/24, 10:00", "1/31/24, 10:00")


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=30).map(
    str.strip
)
said = words.filter(lambda text: text and not text.startswith("<") and not text.endswith((">", ")")) and text != "null")
times = st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1)).map(lambda time: time.replace(second=0, microsecond=0))
chats = st.lists(
    st.tuples(times, st.sampled_from(["Ann Smith", "Bob", "+44 7700 900123", "田中"]), said), min_size=1, max_size=6
)


@PER_EXAMPLE
@given(chat=chats, form=st.sampled_from(["%d.%m.%Y, %H:%M - ", "%Y-%m-%d, %H:%M - ", "[%d/%m/%Y, %H:%M:%S] "]))
def test_what_was_written_is_what_is_read(chat: list[tuple[datetime, str, str]], form: str) -> None:
    chat = [(datetime(2010, 1, 20), "Bob", "the day is clear"), *sorted(chat)]
    text = "".join(f"{time.strftime(form)}{speaker}: {words}\n" for time, speaker, words in chat)
    ordered = read_whatsapp(text, Counter()).messages
    assert [(message.speaker, message.text.strip()) for message in ordered] == [(who, text) for _, who, text in chat]
    assert [message.time for message in ordered] == [time for time, *_ in chat]


@pytest.mark.parametrize(
    ("remark", "names"),
    [
        ("Bob Jones added Cleo, Dan and Eve", {"Bob Jones", "Cleo", "Dan", "Eve"}),
        ("Bob Jones added Cleo and 3 others", {"Bob Jones", "Cleo"}),
        ("You removed Cleo", {"Cleo"}),
        ("Cleo added you", {"Cleo"}),
        ("Cleo was added", {"Cleo"}),
        ("Cleo left", {"Cleo"}),
        ("~\u202fCleo joined using this group's invite link", {"Cleo"}),
        ('Cleo created group "Dan was added"', {"Cleo"}),
        ("Cleo changed the subject from “A” to “B”", {"Cleo"}),
        ("Bob hat Cleo und Dan hinzugefügt.", {"Bob", "Cleo", "Dan"}),
        ("Bob hat dich hinzugefügt", {"Bob"}),
        ("Cleo hat die Gruppe verlassen.", {"Cleo"}),
        ("Cleo ist der Gruppe über den Einladungslink beigetreten", {"Cleo"}),
        ("Bob añadió a Cleo y Dan", {"Bob", "Cleo", "Dan"}),
        ("Cleo salió del grupo", {"Cleo"}),
        ("Vous avez ajouté Cleo", {"Cleo"}),
        ("Bob a retiré Cleo et Dan", {"Bob", "Cleo", "Dan"}),
        ("Você adicionou Cleo", {"Cleo"}),
        ("Cleo saiu", {"Cleo"}),
        ("Bob ha aggiunto Cleo e Dan", {"Bob", "Cleo", "Dan"}),
        ("Hai aggiunto Cleo", {"Cleo"}),
        ("Messages and calls are end-to-end encrypted. Only people in this chat can read them.", set()),
        ("Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.", set()),
    ],
)
def test_whom_whatsapp_itself_names(remark: str, names: set[str]) -> None:
    dropped: Counter[str] = Counter()
    android = read_whatsapp(f"31.12.23, 21:41 - {remark}", dropped)
    iphone = read_whatsapp(f"[31.12.23, 21:41:05] The group: \u200e{remark}", dropped)
    assert android == iphone == ([], names)
    assert dropped.total() == 2


@pytest.mark.parametrize("remark", [*sorted(DELETED), "Diese Gruppe wurde archiviert"])
def test_remarks_about_messages_name_nobody(remark: str) -> None:
    assert names_in(f"\u200e{remark}.") == set()


def test_whatsapps_mentions_are_names() -> None:
    text = "31.12.23, 21:41 - Ann: ask @\u2068Cleo Brown\u2069 and @\u2068~Dan\u2069"
    assert read_whatsapp(text, Counter()).names == {"Cleo Brown", "Dan"}
