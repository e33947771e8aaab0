"""The media types that a dataset may state: those in general use, from a closed list.

Whoever wrote a file or an export could write anything into its type, an address too.
"""

from __future__ import annotations

UNKNOWN = "octet-stream"
_COMMON = {
    "text": """plain html css csv tab-separated-values calendar vcard x-vcard x-vcalendar directory xml rtf
        richtext enriched markdown rfc822-headers javascript x-python x-log x-diff x-patch x-amp-html
        watch-html x-c x-java x-sh x-tex json yaml""",
    "image": """jpeg jpg pjpeg png x-png gif bmp x-ms-bmp tiff webp svg+xml heic heif avif x-icon
        vnd.microsoft.icon vnd.adobe.photoshop emf wmf x-emf x-wmf""",
    "audio": "mpeg mp3 mp4 wav x-wav ogg aac flac amr midi webm x-ms-wma x-m4a",
    "video": "mpeg mp4 quicktime ogg webm x-msvideo x-ms-wmv 3gpp x-matroska",
    "font": "ttf otf woff woff2",
    "message": """rfc822 rfc2822 global delivery-status disposition-notification partial external-body
        feedback-report news http""",
    "multipart": "mixed alternative related report signed encrypted digest parallel form-data appledouble",
    "application": """octet-stream pdf x-pdf zip x-zip x-zip-compressed gzip x-gzip x-tar x-compressed x-bzip2
        x-xz zstd x-7z-compressed x-rar-compressed vnd.rar json jsonl x-ndjson xml xhtml+xml javascript sql
        x-sh x-python rtf msword msexcel vnd.ms-excel vnd.ms-powerpoint vnd.ms-word mspowerpoint
        vnd.ms-outlook vnd.ms-project vnd.visio vnd.ms-visio vnd.ms-tnef ms-tnef vnd.ms-publisher
        vnd.ms-excel.sheet.macroenabled.12 vnd.ms-word.document.macroenabled.12
        vnd.ms-excel.sheet.binary.macroenabled.12 vnd.ms-powerpoint.presentation.macroenabled.12
        vnd.openxmlformats-officedocument.wordprocessingml.document
        vnd.openxmlformats-officedocument.wordprocessingml.template
        vnd.openxmlformats-officedocument.spreadsheetml.sheet
        vnd.openxmlformats-officedocument.spreadsheetml.template
        vnd.openxmlformats-officedocument.presentationml.presentation
        vnd.openxmlformats-officedocument.presentationml.slideshow
        vnd.oasis.opendocument.text vnd.oasis.opendocument.spreadsheet vnd.oasis.opendocument.presentation
        vnd.oasis.opendocument.graphics vnd.microsoft.card.adaptive vnd.microsoft.card.hero
        vnd.microsoft.card.thumbnail vnd.microsoft.card.codesnippet vnd.microsoft.card.announcement
        vnd.microsoft.teams.file.download.info pgp-signature pgp-encrypted pgp-keys pkcs7-signature
        pkcs7-mime x-pkcs7-signature x-pkcs7-mime ics postscript applefile mac-binhex40 x-msdownload
        x-shockwave-flash x-tex x-dvi java-archive vnd.android.package-archive vnd.sqlite3 epub+zip
        vnd.google-apps.document vnd.google-apps.spreadsheet vnd.google-apps.presentation""",
}
_OF_TEAMS = ("reference", "messageReference", "forwardedMessageReference", "meetingReference")
_KNOWN = frozenset(f"{family}/{kind}" for family, kinds in _COMMON.items() for kind in kinds.split())


def media_type(stated: str) -> str:
    """Return a type as it is stated where it is in general use; of another one its family, if that is one."""
    if stated in _OF_TEAMS or stated.lower() in _KNOWN:
        return stated
    family = stated.lower().partition("/")[0]
    if family in _COMMON:
        return f"{family}/{UNKNOWN}"
    return f"application/{UNKNOWN}" if stated else ""
