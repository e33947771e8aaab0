"""Who somebody is: a name as a reader takes it, and the account that a process runs under."""

from __future__ import annotations

import os
import pwd
import re
import unicodedata

from data.workspace import UserError

# Signs that a reader takes for the letter before the colon: the part of Unicode's confusables (UTS 39)
# that people's names are written with. Capitals come first: "Н" looks like H, "н" does not look like n.
_CAPITALS = (
    "A:ΑАᎪ B:ΒВᏴ C:СϹᏟ D:Ꭰ E:ΕЕᎬ G:Ꮐ H:ΗНᎻ I:ΙІ J:ЈᎫ K:ΚКᏦ L:Ꮮ M:ΜМᎷ N:Ν O:ΟО P:ΡРᏢ R:Ꭱ S:ЅᏚ T:ΤТᎢ V:Ꮩ "
    "W:Ꮃ X:ΧХ Y:ΥҮ Z:ΖᏃ l:|"
)
_SMALL = (
    "a:αаɑ b:вЬ c:сϲ d:ԁđ e:еε3 g:ɡց h:һհн i:ıιі j:јϳ k:кκ l:i1łӏ m:м n:пηո o:оο0øօσ p:рρ q:ԛ r:г "
    "s:ѕ5 t:тτ u:υսս v:ν w:ԝω x:хχ y:уγү"
)
# one way to write what can be written in two: letters of their own, and two letters that look like one
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "w": "vv", "m": "rn"})
_STROKE_OR_SMALL_CAPITAL = re.compile(r"LATIN (?:SMALL LETTER|LETTER SMALL CAPITAL) ([A-Z])(?: WITH .*)?")


def _table(groups: str) -> dict[int, str]:
    pairs = (group.split(":") for group in groups.split())
    return {ord(sign): letter for letter, signs in pairs for sign in signs}


_LIKE_CAPITALS, _LIKE_SMALL = _table(_CAPITALS), _table(_SMALL)


def person(name: str) -> str:
    """Return what two names have in common that a reader would take for one: "Ａnna ", "аnna", "A.N.N.A".

    Width, case, accents, invisible signs, spaces and punctuation are dropped, and letters that look
    alike become one. Two people may share the result ("Mila", "Mlla"): refusing one too many is the
    safe side. It is compared, never shown.
    """
    shown = unicodedata.normalize("NFKC", name).translate(_LIKE_CAPITALS).casefold()
    plain = unicodedata.normalize("NFKD", shown)
    letters = "".join(_letter(sign) for sign in plain if sign.isalnum()).translate(_LIKE_SMALL)
    return letters.translate(_LIKE_SMALL).translate(_SPELLED).replace("dj", "d")


def _letter(sign: str) -> str:
    """Return the plain letter of one with a stroke or a hook ("ħ"), or of a small capital ("ᴀ")."""
    found = _STROKE_OR_SMALL_CAPITAL.fullmatch(unicodedata.name(sign, ""))
    return found[1].lower() if found else sign


def author() -> str:
    """Return who answers for a training: MAILROOM_AUTHOR, else the account.

    Raises:
        UserError: in a pod, where the account is the image's, nobody is named.
    """
    named = os.environ.get("MAILROOM_AUTHOR", "").strip()
    if not named and os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise UserError(
            f"in this pod everybody is {account()!r}, and no author is named; start the run by "
            "mailroom submit or schedule, or set MAILROOM_AUTHOR"
        )
    return named or account()


def account() -> str:
    """Return the operating system's user of this process, whatever the environment says of it."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        return f"uid-{number}"
