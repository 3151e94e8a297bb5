"""What WhatsApp itself says in a chat, of messages that were deleted and of people, in the languages it is set to.

In English, German, Spanish, French, Portuguese and Italian. In a remark `{}` is where it names somebody, or several, and `*` is
anything.
"""

from __future__ import annotations

import re

MARKS = "\u200e\u200f"  # which way the text runs; WhatsApp puts the first before its own remarks
DELETED = {
    *("This message was deleted", "You deleted this message"),
    *("Diese Nachricht wurde gelöscht", "Du hast diese Nachricht gelöscht"),
    *("Se eliminó este mensaje", "Eliminaste este mensaje"),
    *("Ce message a été supprimé", "Vous avez supprimé ce message"),
    *("Mensagem apagada", "Você apagou esta mensagem"),
    *("Questo messaggio è stato eliminato", "Hai eliminato questo messaggio"),
}
REMARKS = [  # the first that fits counts
    *(
        "{} created group *",
        "{} changed *",
        "{} was added*",
        "{} was removed*",
        "{} joined*",
        "{} left",
        "{} is now an admin",
    ),
    *("{} added {}", "{} removed {}"),
    *(
        "{} hat die Gruppe*",
        "{} hat den *",
        "{} hat das *",
        "{} wurde hinzugefügt*",
        "{} wurde entfernt*",
        "{} ist *beigetreten",
        "{} ist jetzt *",
    ),
    *("Du hast {} hinzugefügt", "Du hast {} entfernt", "{} hat {} hinzugefügt", "{} hat {} entfernt"),
    *("{} creó *", "{} cambió *", "{} salió*", "{} se unió*", "{} te añadió*"),
    *("Añadiste a {}", "Eliminaste a {}", "{} añadió a {}", "{} eliminó a {}"),
    *("{} a créé *", "{} a changé *", "{} a modifié *", "{} a quitté*", "{} a rejoint*", "{} vous a ajouté*"),
    *("Vous avez ajouté {}", "Vous avez retiré {}", "{} a ajouté {}", "{} a retiré {}"),
    *("{} criou *", "{} mudou *", "{} saiu", "{} entrou*", "{} adicionou {}", "{} removeu {}"),
    *("{} ha creato *", "{} ha cambiato *", "{} ha abbandonato*", "{} è uscito*", "{} è uscita*", "{} si è unito*"),
    *("Hai aggiunto {}", "Hai rimosso {}", "{} ti ha aggiunto*", "{} ha aggiunto {}", "{} ha rimosso {}"),
]
_PATTERNS = [re.compile(re.escape(each).replace(r"\{\}", "(.+?)").replace(r"\*", ".*")) for each in REMARKS]
_BETWEEN = re.compile(r",\s|\s(?:and|und|y|et|e)\s")
_NOBODY = re.compile(r"you|du|dich|te|tú|vous|tu|você|\d+ \w+", re.IGNORECASE)  # whoever exports, and "3 others"


def names_in(remark: str) -> set[str]:
    """Whom a remark names."""
    remark = remark.strip(f"{MARKS}. \n")
    if remark in DELETED:
        return set()
    found = next((said.groups() for pattern in _PATTERNS if (said := pattern.fullmatch(remark))), ())
    names = {plain(name) for names in found for name in _BETWEEN.split(names)}
    return {name for name in names if name and not _NOBODY.fullmatch(name)}


def plain(name: str) -> str:
    """A name without the signs that WhatsApp puts around those who are not among the contacts."""
    return name.strip(f"{MARKS}~ \u202f")
