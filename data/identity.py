"""Who somebody is: a name as a reader takes it, and the account that a process runs under."""

from __future__ import annotations

import os
import pwd
import unicodedata

from data.workspace import UserError

# Signs that a reader takes for the letter before the colon: the part of Unicode's confusables (UTS 39)
# that people's names are written with. Capitals come first: "Н" looks like H, "н" does not look like n.
_CAPITALS = "A:ΑА B:ΒВ C:СϹ E:ΕЕ H:ΗН I:ΙІ J:Ј K:ΚК M:ΜМ N:Ν O:ΟО P:ΡР S:Ѕ T:ΤТ X:ΧХ Y:ΥҮ Z:Ζ l:|"
_SMALL = (
    "a:αаɑ b:вЬ c:сϲ d:ԁđ e:еε3 g:ɡց h:һհн i:ıιі j:јϳ k:кκ l:i1łӏ m:м n:пηո o:оο0øօσ p:рρ q:ԛ r:г "
    "s:ѕ5 t:тτ u:υսս v:ν w:ԝω x:хχ y:уγү"
)


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
    letters = "".join(sign for sign in plain if sign.isalnum()).translate(_LIKE_SMALL)
    return letters.translate(_LIKE_SMALL).replace("rn", "m")


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
